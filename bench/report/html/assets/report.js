// The report's one script: theme, sorting, filters, and the drawings of the table of tags. Without it every row that
// stands in a page can still be read. No request is made: pages open from disk.
"use strict";

(() => {
  const root = document.documentElement;
  const THEME = "pretext-bench theme";
  const SVG = "http://www.w3.org/2000/svg";
  const order = new Intl.Collator("en", { numeric: true });

  function stored() {
    try {
      return localStorage.getItem(THEME);
    } catch (error) {
      return null; // storage may be refused: the system's theme serves
    }
  }

  function isDark() {
    const chosen = root.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  // Before anything is drawn, so that a page does not flash.
  if (stored() === "dark" || stored() === "light") root.dataset.theme = stored();
  root.dataset.script = "on";

  function theme(button) {
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem(THEME, root.dataset.theme);
      } catch (error) {
        // it then lasts as long as the page
      }
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    addEventListener("storage", (event) => {
      if (event.key === THEME && event.newValue) {
        root.dataset.theme = event.newValue;
        show();
      }
    });
  }

  // A table with its bodies, its form of filters and its button for more rows.
  class Rows {
    constructor(table) {
      this.table = table;
      this.form = document.querySelector(`form[data-table="${table.id}"]`);
      this.more = document.querySelector(`button.more[data-table="${table.id}"]`);
      this.status = document.getElementById(`${table.id}-status`);
      this.limit = Number(table.dataset.limit || Infinity);
      this.bodies = [...table.tBodies].map((body) => {
        const all = [...body.rows];
        return { body, rows: all.filter((row) => !row.classList.contains("group")) };
      });
      this.total = this.bodies.reduce((sum, one) => sum + one.rows.length, 0);
      this.sorted = "";
      this.heads = [...table.tHead.rows[0].cells];
      this.heads.forEach((head, column) => {
        const button = head.querySelector("button");
        if (button) button.addEventListener("click", () => this.sort(head, column));
      });
      if (this.more) {
        this.more.addEventListener("click", () => {
          this.limit = Infinity;
          this.show();
          this.table.parentElement.focus(); // the button is gone
        });
      }
      if (this.form) {
        this.form.hidden = false;
        this.form.addEventListener("submit", (event) => event.preventDefault());
        this.form.addEventListener("input", () => this.filtered());
        this.form.addEventListener("change", () => this.filtered());
        this.form.addEventListener("reset", () => setTimeout(() => this.filtered()));
        this.fromAddress();
        addEventListener("hashchange", () => this.fromAddress());
      }
    }

    fromAddress() {
      const text = location.hash.slice(1);
      if (text.includes("=")) {
        const wanted = new URLSearchParams(text);
        for (const field of this.form.elements) {
          if (!field.name) continue;
          const value = wanted.get(field.name === "q" ? "method" : field.name) ?? "";
          field.value = value;
          if (field.value !== value) field.value = ""; // no such option
        }
      }
      this.show();
    }

    filtered() {
      const wanted = new URLSearchParams();
      for (const field of this.form.elements) {
        if (field.name && field.value) wanted.set(field.name === "q" ? "method" : field.name, field.value);
      }
      try {
        history.replaceState(null, "", `#${wanted}`);
      } catch (error) {
        // some browsers refuse it from disk: the filters work all the same
      }
      this.show();
    }

    show() {
      const fields = this.form ? [...this.form.elements].filter((field) => field.name && field.value) : [];
      const choices = fields.filter((field) => field.name !== "q");
      const search = fields.find((field) => field.name === "q");
      const words = search ? search.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
      let matching = 0;
      let shown = 0;
      for (const { body, rows } of this.bodies) {
        let here = 0;
        for (const row of rows) {
          const name = words.length ? row.dataset.method.toLowerCase() : "";
          const fits =
            words.every((word) => name.includes(word)) &&
            choices.every((field) => (row.dataset[field.name] ?? body.dataset[field.name]) === field.value);
          matching += fits;
          const visible = fits && shown < this.limit;
          shown += visible;
          here += visible;
          if (row.hidden === visible) row.hidden = !visible;
        }
        body.hidden = !here;
      }
      if (this.more) {
        this.more.hidden = shown === matching;
        this.more.textContent = `Show all ${matching} rows`;
      }
      this.tell(shown, matching);
    }

    tell(shown, matching) {
      if (!this.status) return;
      const of = matching < this.total ? `${matching} of ${this.total} rows match` : `${this.total} rows`;
      const cut = shown < matching ? `; the first ${shown} are shown` : "";
      this.status.textContent = (matching ? of + cut : "No row matches") + this.sorted;
    }

    sort(head, column) {
      const number = head.dataset.kind === "number";
      const first = head.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const direction = head.getAttribute("aria-sort") === first ? other : first;
      this.heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.v ?? cell.textContent.trim();
        return number ? parseFloat(text.replace("\u2212", "-")) : text;
      };
      for (const one of this.bodies) {
        const keyed = one.rows.map((row) => [key(row), row]);
        keyed.sort(([a], [b]) => {
          if (!number) return sign * order.compare(a, b);
          if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // without a value: last
          return sign * (a - b);
        });
        one.rows = keyed.map(([, row]) => row);
        one.body.append(...one.rows);
      }
      this.sorted = `, by ${head.textContent.trim()}, ${direction}`;
      this.show();
    }
  }

  // Scores of tags on a scale from 0 to 1, drawn beside their numbers.
  function bars(table) {
    for (const row of table.tBodies[0].rows) {
      for (const column of [2, 4]) {
        const value = parseFloat(row.cells[column].textContent);
        const ends = row.cells[column + 1].textContent.match(/[\d.]+/g);
        if (Number.isNaN(value)) continue;
        const at = (share) => 3 + Math.round(share * 104);
        const line = ends ? `M${at(ends[0])} 7H${at(ends[1])}` : "";
        const drawing = document.createElementNS(SVG, "svg");
        const path = document.createElementNS(SVG, "path");
        drawing.setAttribute("class", "i");
        drawing.setAttribute("aria-hidden", "true");
        path.setAttribute("d", `${line}M${at(value)} 2v10`);
        drawing.append(path);
        row.cells[column + 1].append(drawing);
      }
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    theme(document.getElementById("theme"));
    document.querySelectorAll("table.sortable").forEach((table) => new Rows(table));
    document.querySelectorAll("table.bars").forEach(bars);
  });
})();
