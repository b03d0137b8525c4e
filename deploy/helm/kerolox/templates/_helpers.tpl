{{- define "kerolox.labels" -}}
app.kubernetes.io/name: kerolox
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "kerolox.selector" -}}
app.kubernetes.io/name: kerolox
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "kerolox.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- /* Names of all name servers, which stay when pods move. */ -}}
{{- define "kerolox.namesrvAddr" -}}
{{- $all := list -}}
{{- range $i := until (int .Values.namesrv.replicas) -}}
{{- $all = append $all (printf "%s-namesrv-%d.%s-namesrv.%s.svc.%s:9876" $.Release.Name $i $.Release.Name $.Release.Namespace $.Values.clusterDomain) -}}
{{- end -}}
{{ join ";" $all }}
{{- end }}
{{- define "kerolox.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}
{{- define "kerolox.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
