"""The one script of a plan's page: it narrows a list to what a reader types, and unfolds all steps.

Without it the page shows the same, and its boxes to tick work: those are the style sheet's. The script reads what was
typed, the attribute `data-find` and nothing else; it compares, hides elements, and writes two numbers as text. See
docs/decisions/0048-one-script-on-a-page.md.
"""

SCRIPT = """
"use strict";
for (const section of document.querySelectorAll("[data-filter]")) {
  const find = (selector) => section.querySelector(selector);
  const parts = [...section.querySelectorAll("[data-find]")];
  const box = find(".find input");
  const count = find("output");
  const steps = find(".steps input");
  const narrow = () => {
    const words = box.value.toLowerCase().split(" ").filter(Boolean);
    for (const part of parts) {
      part.hidden = !words.every((word) => part.dataset.find.includes(word));
    }
    const shown = parts.filter((part) => part.getClientRects().length > 0).length;
    count.textContent = shown + " of " + parts.length + " shown";
  };
  section.addEventListener("input", narrow);
  for (const later of section.querySelectorAll(".later")) {
    later.hidden = false;
  }
  if (steps) {
    const folded = [...section.querySelectorAll("details")];
    steps.addEventListener("input", () => folded.forEach((part) => { part.open = steps.checked; }));
  }
  narrow();
}
"""
