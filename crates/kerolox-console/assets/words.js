// What the pages say, in the language of the visitor.

import { ZH } from './zh.js';
import { ZH_TOLD } from './zh_told.js';

let chosen = localStorage.getItem('language') ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');

export const language = () => chosen;

export function setLanguage(wanted) {
  chosen = wanted;
  localStorage.setItem('language', wanted);
  document.documentElement.lang = wanted;
}

/** The sentence in the chosen language, with what stands in braces filled in. */
export function t(english, values = {}) {
  const words = chosen === 'zh' ? ZH[english] ?? english : english;
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// The forms of sentences as expressions, the more of a sentence is fixed the earlier.
const forms = Object.entries(ZH_TOLD).sort(([a], [b]) => b.replace(/\{\w+\}/g, '').length - a.replace(/\{\w+\}/g, '').length)
  .map(([english, chinese]) => [new RegExp(`^${english.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{(\w+)\}/g, '(?<$1>.+?)')}$`, 's'), chinese]);

/** A sentence of a server in the chosen language; as it is where its form is not known. */
export function told(sentence) {
  if (chosen !== 'zh') return sentence;
  for (const [form, chinese] of forms) {
    const found = form.exec(sentence);
    if (found) return chinese.replace(/\{(\w+)\}/g, (whole, name) => found.groups?.[name] ?? whole);
  }
  return sentence;
}
