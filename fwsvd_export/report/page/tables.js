"use strict";
// Sorting by the titles of columns, and copying commands.
(() => {
  const status = document.getElementById("status");

  const compared = (one, other) => {
    const [a, b] = [one.dataset.order, other.dataset.order];
    if (a !== undefined && b !== undefined) return Number(a) - Number(b);
    return one.textContent.localeCompare(other.textContent, "en", { numeric: true });
  };

  const sort = (title) => {
    const table = title.closest("table");
    const place = title.cellIndex;
    const direction = title.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of title.parentElement.children) other.setAttribute("aria-sort", "none");
    title.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const empty = (row) => row.cells[place].textContent === "";
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      if (empty(one) || empty(other)) return Number(empty(one)) - Number(empty(other)); // always at the end
      return sign * compared(one.cells[place], other.cells[place]);
    });
    table.tBodies[0].append(...rows);
    status.textContent = `Sorted by ${title.textContent}, ${direction}.`;
  };

  for (const title of document.querySelectorAll("thead th")) {
    title.firstElementChild.addEventListener("click", () => sort(title));
  }

  // Without permission for the clipboard the command is selected, so that the usual keys copy it.
  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    status.textContent = `${button.textContent}.`;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", () => copy(button));
  }
})();
