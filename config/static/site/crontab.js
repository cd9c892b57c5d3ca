// Says in words when a chosen crontab schedule is due. Without this file the form works all the same.
"use strict";

const readable = JSON.parse(document.getElementById("readable-crontabs").textContent);
const chosen = document.getElementById("id_crontab");
const row = document.querySelector(".field-crontab");

document.querySelector(".field-crontab_translation")?.setAttribute("hidden", "");

if (chosen && row) {
  const words = document.createElement("p");
  row.append(words);
  const say = () => {
    words.textContent = readable[chosen.value] ?? "";
  };
  chosen.addEventListener("change", say);
  say();
}
