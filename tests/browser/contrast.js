() => {
  // The text of a page that stands out too little from what is behind it, by the rule of WCAG AA:
  // where it is, and its contrast. Colours are painted, so that mixtures and opacities count.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const ink = canvas.getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const painted = (colours) => {
    const key = colours.join();
    if (known.has(key)) return known.get(key);
    ink.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      ink.fillStyle = colour;
      ink.fillRect(0, 0, 1, 1);
    }
    known.set(key, [...ink.getImageData(0, 0, 1, 1).data].slice(0, 3));
    return known.get(key);
  };
  const luminance = (pixel) => {
    const [red, green, blue] = pixel.map((value) => value / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const found = {};
  let seen = 0;
  for (const each of document.querySelectorAll("body *")) {
    const style = getComputedStyle(each);
    const box = each.getBoundingClientRect();
    const says = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!says || !box.width || !box.height || style.visibility === "hidden") continue;
    if (style.clipPath !== "none" || each.closest("svg, script, style, noscript, option")) continue;
    const behind = [];
    for (let one = each; one; one = one.parentElement) behind.unshift(getComputedStyle(one).backgroundColor);
    const pair = [painted(["#fff", ...behind]), painted(["#fff", ...behind, style.color])].map(luminance);
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    seen += 1;
    if (contrast < 4.5) found[`${each.tagName}.${each.className} in ${each.parentElement.className}`] = contrast;
  }
  return { found, seen };
}
