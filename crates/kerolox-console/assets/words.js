// What the pages say, in the language of the visitor.

import { ZH } from './zh.js';

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
