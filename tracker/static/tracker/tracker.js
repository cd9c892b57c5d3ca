// Clocks count on while the page is open; without this file they show the time of the page.
"use strict";

const opened = performance.now();

function shown(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function tick() {
  for (const clock of document.querySelectorAll(".clock")) {
    const since = "running" in clock.dataset ? (performance.now() - opened) / 1000 : 0;
    clock.textContent = shown(Math.floor(Number(clock.dataset.seconds) + since));
  }
}

tick();
setInterval(tick, 1000);
