"""The style sheet of a status page: the timeline, and the shapes in its matrix."""

from __future__ import annotations

from reconciler.report.page_style import style_sheet

_RULES = """
.two{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:16px;margin:16px 0}
.two section{margin:0}
.well::before{content:"\\2713";color:var(--ok);font-weight:700;margin-right:8px}
.events li{display:grid;grid-template-columns:9.5em minmax(0,1fr);gap:12px;padding:5px 0;
border-top:1px solid var(--line)}
.events li:first-child{border-top:0}
.when{color:var(--quiet);font-variant-numeric:tabular-nums}
.when.warn{color:var(--warn);font-weight:600}
.row{display:grid;grid-template-columns:minmax(0,17rem) minmax(0,1fr) minmax(0,11.5rem);column-gap:20px;
border-top:1px solid var(--line);align-items:center}
.row.head{position:sticky;top:0;z-index:2;background:var(--card);border-top:0;align-items:end}
.rows .row:first-child{border-top:0}
.who{padding:8px 0}
.row .name{font-weight:600}
.about{color:var(--quiet);font-size:13px;line-height:1.35}
.row>div:last-child{font-size:13px;line-height:1.4;padding:6px 0}
.row .warn{color:var(--warn);font-weight:600}
.row .bad{color:var(--bad);font-weight:600}
.row .badge.bad,.row .badge.warn{font-weight:600}
.lane{align-self:stretch;display:flex;align-items:center;background-repeat:no-repeat;background-origin:content-box;
overflow:hidden}
.lane,.row.head>div:nth-child(2){padding:0 9px}
.lane svg,.axis{overflow:visible}
svg{display:block}
.bar.current{fill:var(--main)}
.bar.current.ahead{fill:var(--main-soft)}
.bar.old{fill:var(--old)}
.bar.old.ahead{fill:var(--old-soft)}
.bar.pending{fill:none;stroke:var(--warn);stroke-width:2;stroke-dasharray:3 2}
.bar.revoked{fill:var(--bad)}
.bar.revoked.ahead{fill:var(--bad-bg);stroke:var(--bad)}
.bar.dead{fill:none;stroke:var(--bad);stroke-width:1.5;stroke-dasharray:1.5 3}
.bar.next{fill:none;stroke:var(--edge);stroke-width:1.5;stroke-dasharray:5 3}
.stripe{fill:var(--card);opacity:.75}
.fuse{stroke:var(--bad);stroke-width:1;stroke-dasharray:2 3}
.diamond{fill:var(--card);stroke:var(--main);stroke-width:2}
.cross{fill:none;stroke:var(--bad);stroke-width:2.5;stroke-linecap:round}
.axis text{font-size:12px;text-anchor:middle;fill:var(--quiet)}
.axis .now{fill:var(--now);font-weight:700}
.matrix td.bound::before,.matrix td.both::before,.matrix td.other::before,.matrix td.wanted::before,
.matrix td.extra::before,.matrix td.foreign::before,.legend .key{content:"";display:inline-block;width:13px;height:13px;
border-radius:50%;vertical-align:middle;background:transparent}
.bound::before,.legend .bound{background:var(--main)!important}
.both::before,.legend .both{background:var(--main)!important;box-shadow:0 0 0 2px var(--card),0 0 0 4px var(--old)}
.other::before,.legend .other{border:3px solid var(--old)}
.wanted::before,.legend .wanted{border:2px dashed var(--warn)}
.extra::before,.legend .extra{background:var(--main)!important;border-radius:2px!important}
.foreign::before,.legend .foreign{background:var(--card)!important;border:2.5px solid var(--warn);
border-radius:1px!important;transform:rotate(45deg) scale(.85)}
"""
_NARROW = """
@media (max-width:900px){
.two{grid-template-columns:minmax(0,1fr)}
.row{grid-template-columns:minmax(0,1fr) minmax(0,auto)}
.row>div:last-child{text-align:right;padding:8px 0}
.row .lane,.row.head>div:nth-child(2){grid-column:1/-1;grid-row:2}
.row.head>div:nth-child(odd){display:none}
.lane{margin-bottom:8px}
}
@media (max-width:760px){
.axis .minor{display:none}
.about{display:none}
.events li{grid-template-columns:7em minmax(0,1fr)}
}
@media print{
.row{break-inside:avoid}
.row.head{position:static}
}
"""

STYLE = style_sheet(_RULES, _NARROW)
