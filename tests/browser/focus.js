() => {
  // What a reader can reach by keys: everything that is shown and can be operated, numbered in the
  // order of the page, and whether the one that has the focus shows it.
  const shown = (each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled;
  const wanted = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const all = [...document.querySelectorAll(wanted)].filter(shown);
  const now = document.activeElement;
  const style = getComputedStyle(now);
  const box = now.getBoundingClientRect();
  return {
    count: all.length,
    at: all.indexOf(now),
    name: `${now.tagName} ${now.getAttribute("name") || now.textContent.trim().slice(0, 40)}`,
    ringed: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
    inView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}
