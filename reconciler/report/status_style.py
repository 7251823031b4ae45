"""The style sheet of a status page: light and dark by the reader's own setting, from a phone to a wide screen."""

from __future__ import annotations

from reconciler.report.roles import Role

CLASSES = {
    Role.PLAIN: "",
    Role.ADDED: "ok",
    Role.CHANGED: "warn",
    Role.REMOVED: "bad",
    Role.FORGOTTEN: "quiet",
    Role.DANGER: "bad",
    Role.WARNING: "warn",
    Role.GOOD: "ok",
    Role.NOTE: "note",
    Role.NAME: "name",
    Role.TITLE: "name",
    Role.QUIET: "quiet",
}
"""The class by which a page shows each role; the rules below define its looks."""

LIGHT = {
    "bg": "#f6f8f9",
    "card": "#ffffff",
    "fg": "#16202a",
    "quiet": "#52606d",
    "line": "#dde3e8",
    "edge": "#78858f",
    "now": "#c2410c",
    "main": "#0f766e",
    "main-soft": "#9ad5ce",
    "old": "#64748b",
    "old-soft": "#c3ccd6",
    "ok": "#166534",
    "ok-bg": "#dcfce7",
    "warn": "#854d0e",
    "warn-bg": "#fef3c7",
    "bad": "#b42318",
    "bad-bg": "#fee4e2",
    "note": "#1e4fa3",
    "note-bg": "#e0ecff",
}
DARK = {
    "bg": "#0e1419",
    "card": "#161d24",
    "fg": "#e7edf2",
    "quiet": "#a3b1be",
    "line": "#2a343d",
    "edge": "#7c8b98",
    "now": "#fb923c",
    "main": "#2dd4bf",
    "main-soft": "#1d5f59",
    "old": "#94a3b8",
    "old-soft": "#3c4a58",
    "ok": "#86efac",
    "ok-bg": "#123420",
    "warn": "#fcd34d",
    "warn-bg": "#3a2c0a",
    "bad": "#fda29b",
    "bad-bg": "#4a1713",
    "note": "#9cc2ff",
    "note-bg": "#172c50",
}


def as_role(role: Role, shape: str = "") -> str | bool:
    """The class of an element with this role, and maybe with a class that shapes it (False: it needs none)."""
    return " ".join(filter(None, (shape, CLASSES[role]))) or False


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"Liberation Sans",sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:1240px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
h1{font-size:30px;line-height:1.2;margin:0;letter-spacing:-.01em}
h2{font-size:17px;margin:0 0 12px}
p{margin:0}
.kicker{color:var(--main);font-weight:600;font-size:13px;letter-spacing:.04em;text-transform:uppercase}
.quiet{color:var(--quiet)}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:16px 0}
.two{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:16px;margin:16px 0}
.two section{margin:0}
.tiles{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:12px;margin:20px 0 0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:12px 16px;display:flex;
flex-direction:column-reverse}
.tiles dt{color:var(--quiet);font-size:13px;line-height:1.3}
.tiles dd{margin:0;font-size:26px;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}
.tiles .warn{background:var(--warn-bg);border-color:var(--warn)}
.tiles .bad{background:var(--bad-bg);border-color:var(--bad)}
.tiles .warn *{color:var(--warn)}
.tiles .bad *{color:var(--bad)}
ul,ol{list-style:none;margin:0;padding:0}
.badge{display:inline-block;font-size:12px;line-height:1.35;font-weight:600;border-radius:5px;padding:1px 7px;
white-space:nowrap;border:1px solid transparent}
.badge.ok{color:var(--ok);background:var(--ok-bg)}
.badge.warn{color:var(--warn);background:var(--warn-bg);border-color:currentColor}
.badge.bad{color:var(--bad);background:var(--bad-bg);border-color:currentColor}
.badge.note{color:var(--note);background:var(--note-bg)}
.findings li{padding:7px 0;border-top:1px solid var(--line)}
.findings li:first-child{border-top:0;padding-top:0}
.findings .badge{min-width:68px;text-align:center;margin-right:4px}
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
.legend{display:flex;flex-wrap:wrap;gap:6px 20px;color:var(--quiet);font-size:13px;margin-top:14px}
.legend li{display:flex;align-items:center;gap:7px}
.legend+.quiet{margin-top:8px}
.frame{overflow-x:auto;position:relative;max-width:100%}
.frame:focus-visible,summary:focus-visible{outline:2px solid var(--main);outline-offset:2px}
table{border-collapse:separate;border-spacing:0}
.matrix{overflow-wrap:normal}
.matrix th{font-weight:500;text-align:left}
.matrix th[scope=row],.matrix .corner{position:sticky;left:0;background:var(--card);z-index:1;padding:5px 18px 5px 0;
white-space:nowrap;max-width:22rem;overflow:hidden;text-overflow:ellipsis}
.tall{max-height:88vh;overflow:auto}
.matrix thead th{position:sticky;top:0;background-color:var(--card);z-index:2}
.matrix thead .corner{z-index:3}
.matrix tbody th,.matrix tbody td{border-top:1px solid var(--line)}
.matrix thead th{vertical-align:bottom;padding:0 0 8px}
.matrix thead div{writing-mode:vertical-rl;transform:rotate(180deg);max-height:15rem;display:flex;gap:6px;
align-items:center;margin:0 auto;white-space:nowrap}
.matrix thead .name{font-weight:600;overflow:hidden;text-overflow:ellipsis}
.matrix .kind{color:var(--quiet);font-size:12px}
.matrix td{min-width:34px;text-align:center;padding:0}
.matrix tbody tr:hover>*{background-color:var(--bg)}
.matrix td.public,.matrix thead .public{background-image:repeating-linear-gradient(135deg,var(--bad-bg) 0 3px,
transparent 3px 9px)}
.matrix td span{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.matrix .group{padding:14px 0 4px;color:var(--quiet);font-size:13px;font-weight:600;position:sticky;left:0}
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
.matrix.few td{min-width:92px}
details{border-top:1px solid var(--line);padding:10px 0}
details:first-of-type{border-top:0;padding-top:0}
summary{cursor:pointer;font-weight:600}
.plain{width:100%;margin-top:10px;font-size:13px;line-height:1.4;overflow-wrap:normal}
.plain th,.plain td{text-align:left;vertical-align:top;padding:6px 14px 6px 0;border-top:1px solid var(--line)}
.plain thead th{color:var(--quiet);font-weight:600;border-top:0;white-space:nowrap}
.plain tbody th{font-weight:600}
.plain time{white-space:nowrap}
footer{color:var(--quiet);font-size:13px;padding-top:8px;padding-bottom:36px}
@media (min-width:901px){
.matrix.few thead div{writing-mode:horizontal-tb;transform:none;flex-direction:column;gap:2px;padding:0 14px}
}
@media (max-width:900px){
.two{grid-template-columns:minmax(0,1fr)}
.tiles{grid-template-columns:repeat(3,minmax(0,1fr))}
.row{grid-template-columns:minmax(0,1fr) minmax(0,auto)}
.row>div:last-child{text-align:right;padding:8px 0}
.row .lane,.row.head>div:nth-child(2){grid-column:1/-1;grid-row:2}
.row.head>div:nth-child(odd){display:none}
.lane{margin-bottom:8px}
}
@media (max-width:760px){
header,main,footer{padding-left:14px;padding-right:14px}
header{padding-top:18px}
h1{font-size:25px}
section{padding:14px;border-radius:10px}
.tiles{gap:8px}
.tiles div{padding:9px 10px}
.tiles dd{font-size:21px}
.tiles dt{font-size:12px}
.axis .minor{display:none}
.about{display:none}
.matrix.few td{min-width:44px}
.matrix th[scope=row]{max-width:46vw}
.events li{grid-template-columns:7em minmax(0,1fr)}
}
@media print{
body{background:#fff}
section{break-inside:auto;border-color:#999}
.row{break-inside:avoid}
.row.head,.matrix thead th{position:static}
.tall{max-height:none}
}
"""

STYLE = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}{_RULES}"
)
