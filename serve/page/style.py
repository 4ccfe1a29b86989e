"""The page around its sections: document, style sheet, and a policy that lets it load nothing."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --ink: #1d1f23; --soft: #5d636d; --rule: #e3e3de; --fill: #f2f2ee;
  --c0: #1f5fae; --c1: #b4552d; --c2: #c98a1b; --c3: #4d8c57; --c4: #7a5fa8; --c5: #8a8f98;
  --good: #2c7442; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --ink: #e6e7e9; --soft: #9aa1ac; --rule: #2d3136; --fill: #1e2125;
    --c0: #7db0f0; --c1: #e58f68; --c2: #e0b455; --c3: #86c28f; --c4: #b49bdf; --c5: #8a919c;
    --good: #7cc592; --bad: #f2857c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 48px 32px 64px; max-width: 1160px; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
h1, h2, p, dl, dd, figure { margin: 0; }
h1 { font-size: 40px; line-height: 1.15; font-weight: 650; letter-spacing: -.02em; overflow-wrap: anywhere; }
h2 { font-size: 20px; font-weight: 620; letter-spacing: -.01em; margin-bottom: 14px; }
section { margin-top: 52px; }
small, .note, figcaption, .over, .lead { color: var(--soft); }
small { font-size: 13px; font-weight: 400; }
.over { font-size: 13px; margin-bottom: 6px; overflow-wrap: anywhere; }
.lead { margin-top: 8px; overflow-wrap: anywhere; }
.note { max-width: 76ch; margin-bottom: 16px; font-size: 15px; }
.facts { display: flex; flex-wrap: wrap; gap: 16px 44px; margin-top: 26px; padding: 16px 0; }
.facts { border: solid var(--rule); border-width: 1px 0; }
.facts dt { font-size: 13px; color: var(--soft); }
.facts dd { font-size: 18px; color: var(--soft); }
.facts b { font-size: 24px; font-weight: 620; color: var(--ink); letter-spacing: -.01em; }
.pictures, .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.pictures { gap: 28px; }
.charts { gap: 36px 40px; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
.pictures img { width: 100%; max-width: 640px; }
figcaption { font-size: 14px; margin-top: 8px; }
.scroll { overflow-x: auto; }
.strip { display: flex; gap: 12px; }
.strip figure { flex: 0 0 auto; width: 136px; }
.strip img { width: 100%; }
.chart figcaption { margin: 0 0 6px; }
.chart figcaption b { color: var(--ink); font-size: 15px; font-weight: 620; margin-right: 6px; }
.chart svg { display: block; width: 100%; height: auto; }
.chart > svg { overflow: visible; }
.chart svg svg { overflow: hidden; }
.chart text { font-size: 12px; fill: var(--soft); }
.chart .end { text-anchor: end; }
.chart .mid { text-anchor: middle; }
.rule { stroke: var(--rule); }
.axis { stroke: var(--soft); }
.mark { stroke: var(--c2); stroke-width: 1.5; stroke-dasharray: 2 3; }
.reference { stroke: var(--soft); stroke-dasharray: 4 4; }
polyline { fill: none; stroke: var(--c); stroke-width: 1.75; stroke-linejoin: round; stroke-linecap: round; }
polyline.c0 { stroke-width: 2.25; }
polyline.raw { stroke-width: 1; opacity: .28; }
circle { fill: var(--c); }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); }
.c3 { --c: var(--c3); } .c4 { --c: var(--c4); } .c5 { --c: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; }
.key::before {
  content: ""; display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: 6px;
  vertical-align: middle; background: var(--c);
}
table { border-collapse: collapse; font-size: 14px; }
th { font-size: 13px; font-weight: 500; color: var(--soft); text-align: left; white-space: nowrap; }
th, td { padding: 8px 18px 8px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td small { display: block; white-space: nowrap; }
td .good, td .bad, td .open, .n { white-space: nowrap; }
.n { text-align: right; }
.total td { border-bottom: 0; font-weight: 620; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--soft); }
.good, .bad { font-weight: 620; }
.reason { min-width: 240px; color: var(--soft); }
.bar {
  display: grid; grid-template-columns: minmax(120px, 280px) minmax(40px, 1fr) 128px; gap: 0 16px;
  align-items: center; padding: 5px 0; font-size: 15px;
}
.bar > span { overflow-wrap: anywhere; }
.bar small { white-space: nowrap; }
.bar i { height: 10px; border-radius: 2px; background: var(--fill); }
.bar i::before { content: ""; display: block; height: 100%; width: var(--share); background: var(--c0); }
.bar i::before { border-radius: inherit; }
.bar b { font-weight: 500; text-align: right; white-space: nowrap; }
.pairs { columns: 3 280px; column-gap: 48px; font-size: 14px; }
.pairs div {
  display: flex; justify-content: space-between; gap: 16px; padding: 5px 0; break-inside: avoid;
  border-bottom: 1px solid var(--rule);
}
.pairs dt { color: var(--soft); }
.pairs dd { text-align: right; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  body { padding: 28px 18px 48px; }
  h1 { font-size: 30px; }
  section { margin-top: 40px; }
  .facts { display: grid; grid-template-columns: 1fr 1fr; gap: 14px 20px; }
  .chart text { font-size: 14px; }
  th, td { padding-right: 12px; }
  .bar { grid-template-columns: 1fr auto; padding: 8px 0; }
  .bar i { grid-column: 1 / -1; grid-row: 2; margin-top: 4px; }
}
@media print { .scroll { overflow: visible; } section { break-inside: avoid; } }
"""

# even markup that slipped through could load and run nothing
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, body: str) -> str:
    """A whole document. ``title`` and ``body`` are markup already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
