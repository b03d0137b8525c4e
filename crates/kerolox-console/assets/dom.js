// Elements are made here and nowhere else. Text goes in as text nodes only, so nothing that a message, a name or a broker
// says can become markup.

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'path', 'g', 'line', 'text', 'rect', 'circle', 'title']);

function put(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else if (name === 'checked' || name === 'disabled' || name === 'selected' || name === 'required') element[name] = Boolean(value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** An HTML element: h('p', { class: 'x', onclick: f }, 'text', other). */
export function h(tag, props, ...children) {
  return put(document.createElement(tag), props, children);
}

/** An SVG element. */
export function s(tag, props, ...children) {
  if (!SVG_TAGS.has(tag)) throw new Error(`not an SVG tag in use: ${tag}`);
  return put(document.createElementNS(SVG, tag), props, children);
}

/** Replaces what an element contains; the focus stays on what carries the same data-key. */
export function fill(element, ...children) {
  const held = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  if (held !== undefined) element.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  return element;
}
