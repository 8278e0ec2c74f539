/** One style sheet, light and dark; every text colour keeps a contrast of 4.5:1 on its background. */
export const style = `:root {
  color-scheme: light dark;
  --page: #f5f6f9; --card: #ffffff; --line: #d9dce5; --soft: #eceef4;
  --text: #171a24; --muted: #555d70; --accent: #3443c4; --accent-text: #ffffff;
  --critical: #a3122a; --critical-bg: #fde7ea; --high: #9a3d00; --high-bg: #fdecdf;
  --medium: #6b5200; --medium-bg: #fbf2cf; --low: #1c5b7d; --low-bg: #e0f1fa;
  --good: #17623a; --good-bg: #dff4e7; --heat: #3443c4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10121a; --card: #191c27; --line: #303546; --soft: #232735;
    --text: #eceef6; --muted: #a6adc0; --accent: #a3aeff; --accent-text: #10121a;
    --critical: #ff9aa8; --critical-bg: #45161f; --high: #ffb27a; --high-bg: #41240f;
    --medium: #f1d264; --medium-bg: #3a3110; --low: #8ccdf0; --low-bg: #12303f;
    --good: #83dba8; --good-bg: #123522; --heat: #8f9cff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.45rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.02rem; margin: 0 0 .75rem; }
p { margin: 0 0 .75rem; }
a { color: var(--accent); }
code, .id { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .88em; }
.text { unicode-bidi: isolate; overflow-wrap: anywhere; }
.muted { color: var(--muted); }
.small { font-size: .87rem; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .4rem .8rem; z-index: 2; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
main:focus { outline: none; }
#announce { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }

header { background: var(--card); border-bottom: 1px solid var(--line); }
.bar { max-width: 1240px; margin: 0 auto; padding: .6rem 1.25rem; display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 1.5rem; }
.brand { display: flex; align-items: center; gap: .55rem; font-weight: 700; font-size: 1.1rem; color: inherit; text-decoration: none; }
.brand img { width: 26px; height: 26px; }
nav { display: flex; flex-wrap: wrap; gap: .15rem; flex: 1; }
nav a { padding: .35rem .75rem; border-radius: 7px; text-decoration: none; color: var(--muted); font-weight: 550; }
.choice { display: flex; border: 1px solid var(--line); border-radius: 9px; overflow: hidden; background: var(--card); }
.choice a { padding: .3rem .9rem; text-decoration: none; color: var(--muted); font-weight: 600; }
.choice a[aria-current] { background: var(--soft); color: var(--text); }
nav a:hover { background: var(--soft); color: var(--text); }
nav a[aria-current] { background: var(--soft); color: var(--text); }
.who { display: flex; align-items: center; gap: .75rem; }
main { max-width: 1240px; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }

@media (max-width: 780px) { nav { order: 3; flex-basis: 100%; } .who { margin-left: auto; } }

.card { background: var(--card); border: 1px solid var(--line); border-radius: 11px; padding: 1.1rem 1.25rem; margin-bottom: 1.1rem; }
.card.narrow { max-width: 27rem; margin: 10vh auto 0; }
.card.flush { padding: 0; overflow: hidden; }
.card.flush > h2 { padding: 1.05rem 1.25rem 0; }
.row { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem; }
.row.after { margin-top: 1rem; }
.row.actions { flex-wrap: nowrap; justify-content: flex-end; }
.row.between { justify-content: space-between; }
.head { margin-bottom: 1.1rem; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) 20rem; gap: 0 1.1rem; align-items: start; }
@media (max-width: 900px) { .columns { grid-template-columns: minmax(0, 1fr); } }

.scroll { overflow-x: auto; }
.scroll table { min-width: 44rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .6rem .9rem; border-top: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child { padding-left: 1.25rem; }
thead th { border-top: 0; font-size: .8rem; font-weight: 600; color: var(--muted); white-space: nowrap; }
.card.flush > .scroll > table thead th { padding-top: .8rem; }
tbody tr:hover { background: color-mix(in srgb, var(--soft) 55%, transparent); }
td.number, th.number { text-align: right; white-space: nowrap; }
td.nowrap { white-space: nowrap; }

.pill { display: inline-block; padding: .08rem .6rem; border-radius: 99px; font-size: .8rem; font-weight: 650; white-space: nowrap;
  background: var(--soft); color: var(--muted); }
.pill.critical { background: var(--critical-bg); color: var(--critical); }
.pill.high { background: var(--high-bg); color: var(--high); }
.pill.medium { background: var(--medium-bg); color: var(--medium); }
.pill.low { background: var(--low-bg); color: var(--low); }
.pill.good { background: var(--good-bg); color: var(--good); }

button { font: inherit; font-weight: 600; padding: .36rem .85rem; border-radius: 8px; cursor: pointer;
  border: 1px solid var(--line); background: var(--card); color: var(--text); }
button:hover { background: var(--soft); }
button.main { background: var(--accent); border-color: var(--accent); color: var(--accent-text); }
button.main:hover { filter: brightness(1.08); }
button.quiet { border-color: transparent; background: none; color: var(--muted); }
button:disabled { opacity: .5; cursor: default; }
label { display: block; font-weight: 600; margin: .7rem 0 .25rem; }
input, textarea, select { font: inherit; color: inherit; background: var(--page); border: 1px solid var(--muted); border-radius: 8px; padding: .42rem .65rem; width: 100%; }
input[type=search], select.inline { width: auto; min-width: 11rem; }
textarea { min-height: 4.5rem; resize: vertical; }
.error { color: var(--critical); font-weight: 600; }
.notice { border-left: 4px solid var(--accent); }
.notice.bad { border-left-color: var(--critical); }

dialog { border: 1px solid var(--line); border-radius: 13px; background: var(--card); color: inherit; padding: 1.35rem; width: min(32rem, 92vw); }
dialog::backdrop { background: rgb(8 10 20 / .55); }
dialog .row { margin-top: 1rem; justify-content: flex-end; }

dl.facts { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .35rem 1rem; margin: 0; }
dl.facts dt { color: var(--muted); }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
ol.timeline { list-style: none; margin: 0; padding: 0 0 0 1.1rem; border-left: 2px solid var(--line); }
ol.timeline li { position: relative; padding-bottom: 1rem; }
ol.timeline li:last-child { padding-bottom: 0; }
ol.timeline li::before { content: ""; position: absolute; left: -1.49rem; top: .42rem; width: .7rem; height: .7rem; border-radius: 50%; background: var(--muted); border: 2px solid var(--card); }
ol.timeline li.critical::before { background: var(--critical); }
ol.timeline li.high::before { background: var(--high); }
ol.timeline li.resolved::before { background: var(--good); }
details summary { cursor: pointer; color: var(--accent); }
ul.plain { list-style: none; padding: 0; margin: .4rem 0 0; }
ul.plain li { padding: .15rem 0; }

svg text { fill: var(--muted); font-size: 11px; }
svg .cell { fill: var(--heat); }
svg .empty { fill: var(--soft); }
svg .band { fill: var(--good); opacity: .35; }
svg .axis { fill: var(--line); }
svg .expected { fill: var(--good); }
svg .observed { fill: var(--critical); }
.heat { width: 100%; min-width: 620px; height: auto; display: block; }
.span { width: 150px; height: 22px; display: block; }
.legend { display: flex; align-items: center; gap: .4rem; }
.dot { width: .7rem; height: .7rem; border-radius: 50%; display: inline-block; background: var(--muted); }
.dot.good { background: var(--good); }
.dot.bad { background: var(--critical); }
@media (prefers-reduced-motion: no-preference) { nav a, button { transition: background-color .12s; } }
`
