"use strict";
(() => {
  const graph = document.querySelector("#lineage-graph");
  const details = document.querySelector("#lineage-details");
  if (!graph || !details) return;
  const show = (key) => {
    const detail = document.getElementById("lineage-" + key);
    if (!detail) return;
    for (const each of details.querySelectorAll(".shown")) each.classList.remove("shown");
    for (const each of graph.querySelectorAll(".near")) each.classList.remove("near");
    for (const each of graph.querySelectorAll("[aria-current]")) each.removeAttribute("aria-current");
    detail.classList.add("shown");
    for (const each of graph.querySelectorAll(".item")) {
      if (each.dataset.key === key) each.setAttribute("aria-current", "true");
    }
    for (const edge of graph.querySelectorAll(".edge")) {
      if (edge.dataset.start !== key && edge.dataset.end !== key) continue;
      edge.classList.add("near");
      const other = edge.dataset.start === key ? edge.dataset.end : edge.dataset.start;
      graph.querySelector('.item[data-key="' + other + '"]').classList.add("near");
    }
    detail.scrollIntoView({ block: "nearest" });
  };
  const key = (hash) => hash.replace(/^#lineage-/, "");
  details.classList.add("scripted");
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#lineage-"]');
    if (!link || !/^#lineage-[ae][0-9]+$/.test(link.getAttribute("href"))) return;
    event.preventDefault();
    show(key(link.getAttribute("href")));
  });
  show(key(location.hash));
})();
