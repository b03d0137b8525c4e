code: SEND_OK
environment: SEND_OK
HTTP: SEND_OK
