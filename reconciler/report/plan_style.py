"""The style sheet of a plan's page: the verdict, the blocks and their filter, and the shapes in its matrix."""

from __future__ import annotations

from reconciler.plan.changes import Action
from reconciler.report.page_style import style_sheet

_RULES = """
[hidden]{display:none!important}
h3,h4{font-size:15px;font-weight:600;margin:0;display:inline}
header .quiet+.quiet{margin-top:2px}
.partial{margin-top:8px}
.verdict{margin:20px 0 0;padding:13px 18px;border-radius:12px;border:1px solid var(--line);border-left:5px solid
var(--main);background:var(--card)}
.verdict strong{font-size:17px;display:block}
.verdict.ok{border-left-color:var(--ok)}
.verdict.warn{border-color:var(--warn);border-left-width:5px;background:var(--warn-bg)}
.verdict.warn strong{color:var(--warn)}
.verdict.bad{border-color:var(--bad);border-left-width:5px;background:var(--bad-bg)}
.verdict.bad strong{color:var(--bad)}
.tiles{grid-template-columns:repeat(auto-fit,minmax(130px,1fr))}
.look{border-color:var(--bad)}
.look h3,.notes h3{display:block;margin:14px 0 6px}
.look h2+h3,.notes h2+h3{margin-top:0}
.findings .badge{min-width:84px}
.way{color:var(--quiet);margin-top:2px}
.part{display:block;margin:22px 0 4px}
.ours .part{margin-top:12px}
.count{color:var(--quiet);font-weight:400;margin-left:4px}
.withdrawn{margin-top:22px}
.withdrawn h3{display:block;margin-bottom:6px}
.findings+details,.changes .withdrawn details{border-top:1px solid var(--line);padding:8px 0 0}
.findings+details .findings{margin-top:8px}
.filter{display:flex;flex-wrap:wrap;gap:8px 22px;align-items:center;padding:10px 14px;margin:0 0 12px;
background:var(--bg);border:1px solid var(--line);border-radius:8px;font-size:14px}
.choices{display:flex;flex-wrap:wrap;gap:4px 16px}
.choice{display:inline-flex;gap:6px;align-items:center;padding:2px 0;cursor:pointer}
.filter input{accent-color:var(--main);margin:0}
.filter input:not([type=text]){width:16px;height:16px;flex:none}
.filter input[type=text]{font:inherit;color:var(--fg);background:var(--card);border:1px solid var(--edge);
border-radius:6px;padding:4px 9px;width:15em;max-width:100%}
.filter input:focus-visible{outline:2px solid var(--main);outline-offset:2px}
.find{display:inline-flex;flex-wrap:wrap;gap:4px 10px;align-items:center}
.block{border-top:1px solid var(--line)}
.blocks .block:first-child{border-top:0}
.block details{border:0;padding:10px 0}
.block summary{font-weight:400}
.block .badge{min-width:84px;text-align:center;margin-right:4px}
.block .name{margin-right:6px}
.block .why.bad{color:var(--bad);font-weight:600}
.steps{font-size:14px;line-height:1.45}
table.steps{margin:6px 0 0 20px}
.steps td,.steps th{padding:2px 14px 2px 0;text-align:left;vertical-align:top;font-weight:400}
.steps th{color:var(--quiet);min-width:7.5em}
.steps td:last-child{white-space:pre-wrap;overflow-wrap:anywhere;padding-right:0}
.steps td .bad{color:var(--bad);font-weight:600}
.sign{font-weight:700;font-family:ui-monospace,Menlo,Consolas,"Liberation Mono",monospace}
.sign.ok{color:var(--ok)}
.sign.warn{color:var(--warn)}
.sign.bad{color:var(--bad)}
.remarks{margin:6px 0 0 20px;font-size:14px}
.remarks .badge{min-width:0}
.choice,.find label{white-space:nowrap}
.matrix td::before,.legend .key{display:inline-flex;align-items:center;justify-content:center;width:16px;height:16px;
border-radius:4px;vertical-align:middle;font-size:14px;font-weight:700;line-height:1}
.matrix .kept::before,.matrix .foreign::before,.matrix .left::before{content:""}
.matrix .kept::before,.legend .kept{width:9px;height:9px;border-radius:50%;background:var(--old)}
.matrix .gain::before,.legend .gain::before{content:"+"}
.matrix .loss::before,.legend .loss::before{content:"\\2212"}
.matrix .renewed::before,.legend .renewed::before{content:"\\b1"}
.matrix .gain::before,.legend .gain{color:var(--ok);background:var(--ok-bg);border:1px solid var(--ok)}
.matrix .loss::before,.legend .loss{color:var(--bad);background:var(--bad-bg);border:1px solid var(--bad)}
.matrix .renewed::before,.legend .renewed{color:var(--note);background:var(--note-bg);border:1px solid var(--note)}
.matrix .left::before,.legend .left{width:12px;height:12px;border-radius:50%;border:2px dashed var(--old)}
.matrix .foreign::before,.legend .foreign{width:10px;height:10px;border-radius:1px;border:2.5px solid var(--warn);
transform:rotate(45deg)}
.matrix tr.same th[scope=row]{color:var(--quiet)}
.bindings:has(#only:checked) tr.same{display:none}
.bindings .filter+.frame,.bindings .quiet+.frame{margin-top:4px}
.bindings>.quiet{margin-bottom:10px}
.plain td:nth-child(2){overflow-wrap:anywhere}
"""
_NARROW = """
@media (max-width:760px){
.tiles{grid-template-columns:repeat(auto-fit,minmax(120px,1fr))}
table.steps,.remarks{margin-left:0}
.block .why{display:block;margin-top:4px}
.steps td,.steps th{padding-right:8px}
.filter{padding:10px;gap:10px 16px}
.choice{min-height:28px}
}
@media print{
.filter{display:none!important}
.block{break-inside:avoid}
details::details-content{content-visibility:visible;block-size:auto}
}
"""
_CHOICES = "".join(
    f".changes:has(#show-{action.value}:not(:checked)) .block.{action.value}{{display:none}}\n" for action in Action
) + "".join(
    f".changes:has(#from-{chosen}:checked) .{other}{{display:none}}\n"
    for chosen, other in (("ours", "pending"), ("pending", "ours"))
)
"""What the boxes to tick leave out: without a script."""


def plan_style(more: str = "") -> str:
    """The whole sheet; `more` are rules that depend on the plan, and name no part of it."""
    return style_sheet(f"{_RULES}{_CHOICES}{more}", _NARROW)
