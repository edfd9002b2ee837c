// The console works without this script. It refreshes pages that show live numbers, selects all rows, copies commands, and shows the
// live tail. It writes text with textContent only.
"use strict";
(() => {
  const leastRefresh = 5; // seconds

  // Refresh: read the same page again and replace its main part, unless the page is hidden or in use.
  const main = document.getElementById("main");
  const seconds = Math.max(leastRefresh, Number(main && main.dataset.refresh) || 0);
  if (main && main.dataset.refresh) {
    const inUse = () => document.hidden || main.contains(document.activeElement) && document.activeElement !== main || String(getSelection()) !== "";
    const refresh = async () => {
      if (!inUse()) {
        try {
          const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
          if (answer.ok && !answer.redirected) {
            const page = new DOMParser().parseFromString(await answer.text(), "text/html");
            const fresh = page.getElementById("main");
            if (fresh && !inUse()) main.replaceChildren(...fresh.childNodes);
            main.classList.remove("stale");
          }
        } catch {
          main.classList.add("stale"); // the next refresh tries again
        }
      }
      setTimeout(refresh, seconds * 1000);
    };
    setTimeout(refresh, seconds * 1000);
  }

  // Select all rows of a table.
  const table = document.querySelector("table[data-select]");
  const corner = table && table.querySelector("thead th");
  if (corner && table.querySelector("input[name=id]")) {
    const all = document.createElement("input");
    all.type = "checkbox";
    all.setAttribute("aria-label", "Select all messages of this page");
    all.addEventListener("change", () => table.querySelectorAll("input[name=id]").forEach((box) => { box.checked = all.checked; }));
    corner.append(all);
  }

  // Copy a command.
  document.querySelectorAll(".command").forEach((line) => {
    const code = line.querySelector("code");
    if (!code || !navigator.clipboard) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not copied";
      }
    });
    line.append(" ", button);
  });

  // The live tail.
  const form = document.querySelector("form[data-tail]");
  if (form && window.EventSource) {
    const rows = document.querySelector("[data-rows]");
    const status = document.querySelector("[data-status]");
    const stop = form.querySelector("[data-stop]");
    const most = 200; // rows on the page
    let source = null, count = 0;
    const end = (text) => {
      if (source) source.close();
      source = null;
      stop.hidden = true;
      status.textContent = text;
    };
    const show = (m) => {
      const row = document.createElement("tr");
      for (const [text, style] of [[m.at], [m.exchange], [m.routing_key], [m.id], [String(m.size), "n"], [m.body || "", "wrap"]]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        if (style) cell.className = style;
        row.append(cell);
      }
      const body = rows.querySelector("tbody");
      body.prepend(row);
      while (body.rows.length > most) body.lastElementChild.remove();
      rows.hidden = false;
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (source) source.close();
      count = 0;
      rows.querySelector("tbody").replaceChildren();
      status.textContent = "Connecting…";
      source = new EventSource(form.dataset.tail + "?" + new URLSearchParams(new FormData(form)));
      source.addEventListener("watching", () => { status.textContent = "Watching."; stop.hidden = false; });
      source.addEventListener("end", (e) => end("The tail has " + JSON.parse(e.data).reason + "."));
      source.onmessage = (e) => { show(JSON.parse(e.data)); status.textContent = "Arrived: " + (++count) + "."; };
      source.onerror = () => end("The tail has ended: the server refused it, or the connection was lost.");
    });
    stop.addEventListener("click", () => end("Stopped after " + count + " messages."));
    document.addEventListener("visibilitychange", () => { if (document.hidden && source) end("Stopped, because the page was hidden."); });
  }
})();
