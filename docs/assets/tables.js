// A table that is wider than the screen scrolls; whoever has no mouse must be able to reach it.
const mark = (box) => {
  const wide = box.scrollWidth > box.clientWidth;
  if (wide) {
    box.setAttribute("tabindex", "0");
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Table that scrolls sideways");
  } else {
    for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
  }
};

window.addEventListener("load", () => {
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((box) => sizes.observe(box));
});
