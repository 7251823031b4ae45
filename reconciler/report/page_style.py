"""What all pages share of their style: light and dark by the reader's own setting, from a phone to a wide screen."""

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


def style_sheet(rules: str, narrow: str) -> str:
    """A page's whole style: what all pages share, its own `rules`, and what a narrow window or paper changes."""
    return f"{_COLOURS}{_RULES}{rules.lstrip()}{_NARROW}{narrow.lstrip()}{_PRINT}"


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_COLOURS = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
)
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
"""
_NARROW = """\
@media (min-width:901px){
.matrix.few thead div{writing-mode:horizontal-tb;transform:none;flex-direction:column;gap:2px;padding:0 14px}
}
@media (max-width:900px){
.tiles{grid-template-columns:repeat(3,minmax(0,1fr))}
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
.matrix.few td{min-width:44px}
.matrix th[scope=row]{max-width:46vw}
}
"""
_PRINT = """\
@media print{
body{background:#fff}
section{break-inside:auto;border-color:#999}
.matrix thead th{position:static}
.tall{max-height:none}
}
"""
