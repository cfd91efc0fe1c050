// A click, or Enter, on the title of a column sorts its table: by the first number of each cell, or by text.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.docutils")) {
    const body = table.tBodies[0];
    if (!table.tHead || !body || body.rows.length < 3) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const sort = () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const text = (row) => row.cells[column] ? row.cells[column].textContent.trim() : "";
        const number = (value) => { const found = value.replace(/,/g, "").match(/^[^\d-]*(-?\d+(\.\d+)?)/); return found ? Number(found[1]) : NaN; };
        const order = (a, b) => {
          const [x, y] = [text(a), text(b)], [m, n] = [number(x), number(y)];
          if (Number.isNaN(m) !== Number.isNaN(n)) return Number.isNaN(m) ? 1 : -1; // cells without a number come last
          const by = Number.isNaN(m) ? x.localeCompare(y) : m - n;
          return down ? -by : by;
        };
        body.append(...[...body.rows].sort(order));
      };
      head.setAttribute("aria-sort", "none");
      head.tabIndex = 0;
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    });
  }
});
