"use strict";
// Headers sort the rows of a table, controls above it filter them. Without this script all rows are shown.
for (const grid of document.querySelectorAll(".grid")) {
  const body = grid.querySelector("tbody");
  const rows = Array.from(body.rows);
  const headers = Array.from(grid.querySelectorAll("th"));
  const controls = grid.querySelector(".controls");
  const search = controls.querySelector("input");
  const selects = Array.from(controls.querySelectorAll("select"));
  const told = controls.querySelector("output");
  const texts = new Map();

  const textOf = (row) => {
    if (!texts.has(row)) {
      texts.set(row, Array.from(row.cells, (cell) => cell.textContent).join("\n").toLowerCase());
    }
    return texts.get(row);
  };

  const choose = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = selects.filter((select) => select.value).map((select) => [select.dataset.by, select.value]);
    let count = 0;
    for (const row of rows) {
      const kept = wanted.every(([by, value]) => row.dataset[by].split(" ").includes(value));
      row.hidden = !(kept && words.every((word) => textOf(row).includes(word)));
      count += !row.hidden;
    }
    told.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  };

  const compared = (place, isNumber, sign) => (one, other) => {
    const [a, b] = [one, other].map((row) => row.cells[place]);
    if (!isNumber) {
      return sign * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
    }
    // Empty cells come last in both orders.
    const [x, y] = [a, b].map((cell) => ("v" in cell.dataset ? Number(cell.dataset.v) : NaN));
    return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : sign * (x - y);
  };

  headers.forEach((header, place) => {
    header.querySelector("button").addEventListener("click", () => {
      const ascending = header.getAttribute("aria-sort") !== "ascending";
      headers.forEach((each) => each.setAttribute("aria-sort", "none"));
      header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const order = compared(place, header.dataset.kind === "number", ascending ? 1 : -1);
      body.append(...Array.from(body.rows).sort(order));
    });
  });

  search.addEventListener("input", choose);
  selects.forEach((select) => select.addEventListener("change", choose));
  controls.querySelector(".reset").addEventListener("click", () => {
    search.value = "";
    selects.forEach((select) => (select.value = ""));
    choose();
  });
  controls.hidden = rows.length < 8;
  choose();
}
