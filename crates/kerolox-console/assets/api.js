// Calls to the console's own server, and nobody else.

import { told as inWords } from './words.js';

let csrf = '';

/** What went wrong, in a sentence for people. */
export class Problem extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

async function ask(method, path, body, signal) {
  const headers = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'GET') headers['x-csrf-token'] = csrf;
  let response;
  try {
    response = await fetch(path, {
      method, headers, signal, credentials: 'same-origin', body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, inWords('the console does not answer'));
  }
  const text = await response.text();
  let told = {};
  try {
    told = text ? JSON.parse(text) : {};
  } catch {
    told = { error: text.slice(0, 300) };
  }
  if (response.ok) return told;
  if (response.status === 401 && path !== '/api/login') window.dispatchEvent(new CustomEvent('logged-out'));
  throw new Problem(response.status, inWords(told.error || `the console answered ${response.status}`));
}

export const get = (path, signal) => ask('GET', path, undefined, signal);
export const post = (path, body = {}) => ask('POST', path, body);
export const put = (path, body) => ask('PUT', path, body);
export const remove = (path) => ask('DELETE', path);

/** A path with a name in it: path`/api/topics/${name}`. */
export function path(parts, ...values) {
  return parts.reduce((whole, part, at) => whole + encodeURIComponent(values[at - 1]) + part);
}

/** A query string of what is set. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  return set.length ? `?${new URLSearchParams(set)}` : '';
}

export function keepToken(session) {
  csrf = session.csrf;
  return session;
}
