"use strict";
// Values on hover, choice of curves, downloads of drawings. Without this the page can be read as well.

function plots(figure) { return [...figure.querySelectorAll(".plot svg")]; }

function showValues() {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  for (const title of document.querySelectorAll(".plot svg title")) {
    title.parentNode.dataset.tip = title.textContent;
    title.remove(); // or the browser shows it too, later
  }
  const show = (event) => {
    const point = event.target.closest?.(".plot [data-tip]");
    tip.hidden = !point;
    if (!point) return;
    tip.textContent = point.dataset.tip;
    const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4);
    const below = event.clientY + 16;
    const fits = below + tip.offsetHeight < innerHeight;
    tip.style.left = `${Math.max(left, 4)}px`;
    tip.style.top = `${fits ? below : event.clientY - tip.offsetHeight - 10}px`;
  };
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", () => { tip.hidden = true; });
}

function chooseCurves(figure) {
  const names = new Set();
  for (const line of figure.querySelectorAll(".plot [data-series]")) {
    names.add(line.dataset.source === "published" ? "Published curves" : line.dataset.series);
  }
  if (names.size < 2 || names.size > 14) return;
  const tools = document.createElement("fieldset");
  tools.className = "tools";
  const legend = document.createElement("legend");
  legend.textContent = "Show";
  tools.append(legend);
  for (const name of names) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    label.append(box, name);
    tools.append(label);
    box.addEventListener("change", () => {
      for (const line of figure.querySelectorAll(".plot [data-series]")) {
        const of = line.dataset.source === "published" ? "Published curves" : line.dataset.series;
        if (of === name) line.classList.toggle("off", !box.checked);
      }
    });
  }
  figure.querySelector(".plot").after(tools);
}

// A drawing as a file of its own, with the shapes and styles that the page has once for all.
function source(svg) {
  const copy = svg.cloneNode(true);
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  copy.removeAttribute("class");
  copy.removeAttribute("style");
  copy.setAttribute("width", `${width}pt`);
  copy.setAttribute("height", `${height}pt`);
  for (const point of copy.querySelectorAll("[data-tip]")) {
    const title = document.createElementNS(copy.namespaceURI, "title");
    title.textContent = point.dataset.tip;
    point.prepend(title);
    delete point.dataset.tip;
  }
  const shared = document.querySelector("svg.shared");
  const style = shared.querySelector("style").cloneNode(true);
  style.textContent += "\n.off{display:none}";
  const shapes = document.createElementNS(copy.namespaceURI, "defs");
  const used = new Set([...copy.querySelectorAll("use")].map((one) => one.getAttribute("href")));
  for (const shape of shared.querySelectorAll("path")) {
    if (used.has(`#${shape.id}`)) shapes.append(shape.cloneNode());
  }
  copy.prepend(style, shapes);
  return [new XMLSerializer().serializeToString(copy), width, height];
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function saveDrawing(event) {
  const link = event.currentTarget;
  const [text, width, height] = source(link.closest("figure").querySelector(".plot svg.wide"));
  event.preventDefault();
  if (link.dataset.make === "svg") {
    save(new Blob([text], { type: "image/svg+xml" }), link.download);
    return;
  }
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    const scale = 200 / 72; // dots per inch
    canvas.width = width * scale;
    canvas.height = height * scale;
    const context = canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(blob, link.download), "image/png");
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
}

showValues();
for (const figure of document.querySelectorAll("figure")) {
  if (plots(figure).length) chooseCurves(figure);
}
for (const link of document.querySelectorAll("a[data-make]")) {
  link.addEventListener("click", saveDrawing);
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
