// Keeps the page fresh. Everything else works without it.
"use strict";
const EVERY_MS = 2000;
let fresh = true;

// A person who is typing or has chosen something keeps what they have.
function busy() {
  const focused = document.activeElement;
  if (focused && focused.matches("input, select, textarea")) return true;
  return [...document.querySelectorAll("#live input:not([type=hidden])")].some((field) => field.value !== field.defaultValue);
}

async function refresh() {
  if (document.hidden || busy()) return;
  const address = new URL(location.href);
  address.searchParams.delete("said");
  let text;
  try {
    const answer = await fetch(address, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    text = await answer.text();
  } catch {
    fresh = false;
    document.body.classList.add("stale");
    return;
  }
  if (!fresh) document.body.classList.remove("stale");
  fresh = true;
  if (busy()) return;
  const next = new DOMParser().parseFromString(text, "text/html").getElementById("live");
  const live = document.getElementById("live");
  if (!next || !live) return;
  for (const details of live.querySelectorAll("details[open][id]")) {
    next.querySelector(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
  }
  const focused = document.activeElement?.id;
  live.replaceChildren(...next.childNodes);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

setInterval(refresh, EVERY_MS);
for (const select of document.querySelectorAll("select[data-submits]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
