// Lines over time as SVG: drawn anew at each look, which with a few hundred points costs less than a library's start.

import { h, s } from './dom.js';
import { count, time } from './parts.js';

const WIDTH = 600;
const HEIGHT = 160;
const LEFT = 48;
const BOTTOM = 18;
const TOP = 8;

function nice(max) {
  if (max <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((end) => end >= max);
}

const short = (value) => (value >= 1e6 ? `${+(value / 1e6).toFixed(1)}M` : value >= 1e3 ? `${+(value / 1e3).toFixed(1)}k` : `${+value.toFixed(2)}`);

// The time under the pointer by title, which outlasts the next drawing.
const pointed = new Map();

const nearest = (times, ms) => times.reduce((best, one, at) => (Math.abs(one - ms) < Math.abs(times[best] - ms) ? at : best), times.length ? 0 : -1);

/** lines: [{ name, values: [number] }], times: [ms] */
export function chart(title, times, lines) {
  const end = nice(Math.max(0, ...lines.flatMap((line) => line.values)));
  const from = times[0] ?? 0;
  const to = Math.max(times.at(-1) ?? 1, from + 60000);
  const x = (ms) => LEFT + ((ms - from) / (to - from)) * (WIDTH - LEFT - 6);
  const y = (value) => TOP + (1 - value / end) * (HEIGHT - TOP - BOTTOM);
  const last = lines.map((line) => `${line.name} ${count(Math.round(line.values.at(-1) ?? 0))}`).join(', ');
  const grid = [0, 0.5, 1].map((part) => [
    s('line', { class: 'grid', x1: LEFT, x2: WIDTH - 6, y1: y(end * part), y2: y(end * part) }),
    s('text', { x: LEFT - 6, y: y(end * part) + 4, 'text-anchor': 'end' }, short(end * part)),
  ]);
  const paths = lines.map((line, at) => {
    let d = '';
    line.values.forEach((value, i) => {
      // While nobody looks nothing is known: no line across the gap.
      const joined = i > 0 && times[i] - times[i - 1] < 60000;
      d += `${joined ? 'L' : 'M'}${x(times[i]).toFixed(1)} ${y(value).toFixed(1)}`;
    });
    const dot = line.values.length ? s('circle', { class: `dot s${at}`, cx: x(times.at(-1)), cy: y(line.values.at(-1)), r: 3 }) : null;
    return [s('path', { class: `line s${at}`, d }), dot];
  });
  const clock = (ms) => time(ms).slice(11);
  const svg = s('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `${title}: ${last}` }, grid, paths,
    s('text', { x: LEFT, y: HEIGHT - 4 }, times.length ? clock(from) : ''),
    s('text', { x: WIDTH - 6, y: HEIGHT - 4, 'text-anchor': 'end' }, times.length ? clock(to) : ''));
  const keys = lines.map((line, at) => h('span', { class: `key s${at}` }));
  const when = h('span', { class: 'when' });
  const cursor = s('line', { class: 'cursor', y1: TOP, y2: HEIGHT - BOTTOM });
  // The values at one time, or the last ones.
  const show = (ms) => {
    const at = ms === undefined ? times.length - 1 : nearest(times, ms);
    keys.forEach((key, line) => { key.textContent = `${lines[line].name} ${short(lines[line].values[at] ?? 0)}`; });
    when.textContent = ms === undefined || at < 0 ? '' : clock(times[at]);
    cursor.classList.toggle('on', ms !== undefined && at >= 0);
    if (at >= 0) ['x1', 'x2'].forEach((end) => cursor.setAttribute(end, x(times[at]).toFixed(1)));
  };
  const point = (event) => {
    const box = svg.getBoundingClientRect();
    const along = ((event.clientX - box.left) / box.width) * WIDTH;
    pointed.set(title, from + ((along - LEFT) / (WIDTH - LEFT - 6)) * (to - from));
    show(pointed.get(title));
  };
  svg.append(cursor);
  svg.addEventListener('pointermove', point);
  svg.addEventListener('pointerdown', point);
  svg.addEventListener('pointerleave', () => {
    pointed.delete(title);
    show();
  });
  show(pointed.get(title));
  return h('figure', { class: 'card chart' }, h('figcaption', {}, h('strong', {}, title), keys, when), svg);
}

/** A list with bars. rows: [{ name, value, to }] */
export function bars(title, rows, shown, empty, link) {
  const most = Math.max(1e-9, ...rows.map((row) => row.value));
  const list = rows.map((row) => {
    const bar = h('span', { class: 'bar', 'aria-hidden': 'true' }, h('span'));
    bar.firstChild.style.width = `${Math.max(1, (row.value / most) * 100)}%`;
    return h('li', {}, link(row), h('span', { class: 'value' }, shown(row.value)), bar);
  });
  return h('section', { class: 'card' }, h('h2', {}, title), rows.length ? h('ol', { class: 'bars' }, list) : h('p', { class: 'empty' }, empty));
}
