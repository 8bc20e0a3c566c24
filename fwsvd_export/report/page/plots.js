"use strict";
// Unpacks plotly.js, draws the figures in the colours of the style, again when these or the print view change; shows one of a
// list, hides methods.
(async () => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const panels = [...document.querySelectorAll(".plot")];
  const property = /^var\((--[\w-]+)\)$/;

  // What comes out runs because the policy names its digest
  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(plain).text();
    document.head.append(script);
  };

  // The specification with colours in place of names of properties; texts are never looked at.
  const painted = (value, style, isColour) => {
    if (typeof value === "string") {
      const name = isColour && property.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((inner) => painted(inner, style, isColour));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, painted(inner, style, isColour || /color(scale)?$/.test(key))]),
    );
  };

  const hidden = (figure) =>
    new Set(
      [...document.querySelectorAll(`.legend button[data-figure="${figure}"][aria-pressed="false"]`)].map(
        (button) => button.dataset.hides,
      ),
    );

  const draw = (panel) => {
    const { figure, plot } = panel.dataset;
    const style = getComputedStyle(document.documentElement);
    const { data, layout } = painted(figures[figure][Number(plot)], style, false);
    const without = hidden(figure);
    for (const trace of data) if (trace.meta && without.has(trace.meta.series)) trace.visible = false;
    return Plotly.react(panel, data, layout, { displayModeBar: false, responsive: true });
  };
  const drawAll = () => panels.forEach(draw);
  const drawFigure = (figure) => panels.filter((panel) => panel.dataset.figure === figure).forEach(draw);

  if (!("DecompressionStream" in window)) {
    const note = "This browser is too old for the figures (it has no DecompressionStream); the tables hold the same numbers.";
    for (const panel of panels) panel.textContent = note;
    return;
  }
  await unpack(document.getElementById("plotly").textContent);

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
      drawFigure(button.dataset.figure);
    });
  }

  for (const list of document.querySelectorAll("select[data-figure]")) {
    list.addEventListener("change", () => {
      const panel = panels.find((found) => found.dataset.figure === list.dataset.figure);
      const label = panel.getAttribute("aria-label").replace(panel.dataset.label ?? "\0", "");
      panel.dataset.plot = list.value;
      panel.dataset.label = ` Shown: ${list.selectedOptions[0].textContent}.`;
      panel.setAttribute("aria-label", label + panel.dataset.label);
      draw(panel);
    });
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.theme = "light"; // paper is white, and narrower than most screens
    drawAll();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.theme;
    drawAll();
  });
  drawAll();
})();
