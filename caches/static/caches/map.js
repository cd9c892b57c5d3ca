// The map of the zones. Everything comes from this site: no tiles, no third party.
"use strict";
(function () {
  const element = document.getElementById("map");
  const answer = document.getElementById("answer");
  const field = document.getElementById("point");
  const day = document.getElementById("day");
  const shown = document.getElementById("shown");
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();

  const map = L.map(element, {
    preferCanvas: true,
    attributionControl: false,
    worldCopyJump: true,
    minZoom: 3,
    maxZoom: 18,
    // It is moved as far as was pressed: what is asked about stands still.
    inertia: false,
  }).setView([39.5, -98.35], window.innerWidth < 700 ? 3 : 4);
  L.control.scale().addTo(map);

  // A grid and the names of the states give bearings where there is no other map.
  const grid = L.layerGroup().addTo(map);
  const names = L.layerGroup().addTo(map);
  const labels = JSON.parse(document.getElementById("labels").textContent);

  function drawGrid() {
    grid.clearLayers();
    names.clearLayers();
    const zoom = map.getZoom();
    const step = [10, 10, 10, 10, 10, 5, 2, 1, 0.5, 0.2, 0.1][zoom] || 0.05;
    const bounds = map.getBounds().pad(0.2);
    const line = { color: colour("--grid"), weight: 1, interactive: false };
    const from = (value) => Math.floor(value / step) * step;
    for (let lon = from(bounds.getWest()); lon <= bounds.getEast(); lon += step) {
      grid.addLayer(L.polyline([[bounds.getSouth(), lon], [bounds.getNorth(), lon]], line));
    }
    for (let lat = from(bounds.getSouth()); lat <= bounds.getNorth(); lat += step) {
      grid.addLayer(L.polyline([[lat, bounds.getWest()], [lat, bounds.getEast()]], line));
    }
    if (zoom < 5) return;
    for (const state of labels) {
      if (!bounds.contains([state.lat, state.lon])) continue;
      const text = document.createElement("span");
      text.textContent = state.name;
      const icon = L.divIcon({ className: "state-name", html: text, iconSize: null });
      const kept = { icon: icon, interactive: false, keyboard: false };
      names.addLayer(L.marker([state.lat, state.lon], kept));
    }
  }

  // Zones -----------------------------------------------------------------------------------

  let zones = L.layerGroup().addTo(map);
  let loading = null;

  async function drawZones() {
    if (loading) loading.abort();
    const mine = (loading = new AbortController());
    const bounds = map.getBounds();
    const box = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
    const clipped = [box[0], Math.max(-90, box[1]), box[2], Math.min(90, box[3])];
    const found = L.layerGroup();
    const look = { color: colour("--zone"), weight: 1, fillOpacity: 0.3, interactive: false };
    let count = 0;
    let cursor = null;
    try {
      do {
        const query = new URLSearchParams({
          bbox: clipped.map((side) => side.toFixed(5)).join(","),
          zoom: String(map.getZoom()),
          limit: "5000",
          asOf: day.value,
        });
        if (cursor) query.set("cursor", cursor);
        const response = await fetch(element.dataset.zones + "?" + query, { signal: mine.signal });
        const page = await response.json();
        if (!response.ok) throw new Error(page.detail || response.statusText);
        count += page.features.length;
        cursor = page.next;
        found.addLayer(L.geoJSON(page, { style: look }));
      } while (cursor);
    } catch (error) {
      if (error.name !== "AbortError") shown.textContent = "– could not be loaded: " + error.message;
      return;
    }
    if (mine.signal.aborted) return;
    zones.remove();
    zones = found.addTo(map);
    shown.textContent = "– " + count.toLocaleString("en-US") + " in view";
  }

  // Asking ----------------------------------------------------------------------------------

  let pin = null;

  function say(kind, lines) {
    answer.className = "answer " + kind;
    answer.replaceChildren(
      ...lines.map(([text, look, link]) => {
        const line = document.createElement("p");
        const words = link ? document.createElement("a") : line;
        words.textContent = text;
        if (link) {
          words.href = link;
          line.append(words);
        }
        line.className = look;
        return line;
      }),
    );
    answer.scrollIntoView({ block: "nearest" });
  }

  function metres(value) {
    return value < 1000 ? Math.round(value) + " m" : (value / 1000).toFixed(1) + " km";
  }

  function inWords(found) {
    const lines = [];
    if (found.result === "yes") {
      lines.push(["Yes, this point lies in an opportunity zone.", "result"]);
      for (const match of found.matches) {
        const edge = match.onBorder ? "on its border" : metres(match.distanceToBorderM) + " from its border";
        const where = match.county + ", " + match.state;
        lines.push(["Census tract " + match.tract + " (" + where + "), " + edge + ".", ""]);
      }
      if (found.resolution !== "full" && found.distanceToBorderM < 200) {
        lines.push(["That is near for borders of this resolution: look at a second source.", "soft"]);
      }
    } else if (found.result === "no") {
      lines.push(["No, no opportunity zone holds this point.", "result"]);
    } else {
      lines.push(["Unknown.", "result"]);
      const why = found.dataset
        ? "A designated zone whose border is not in the data may hold this point."
        : "No zones are loaded for that day.";
      lines.push([why, ""]);
    }
    if (found.sample) lines.push(["This is a sample: its zones stand for nothing real.", "result"]);
    if (found.dataset) {
      lines.push(["As of " + found.asOf + ", data set " + found.dataset + ", resolution " + found.resolution + ".", "soft"]);
    }
    return lines;
  }

  function mark(lat, lon) {
    field.value = lat.toFixed(6) + ", " + lon.toFixed(6);
    field.removeAttribute("aria-invalid");
    if (pin) pin.remove();
    const dot = L.divIcon({ className: "asked-point", iconSize: [18, 18] });
    pin = L.marker([lat, lon], { icon: dot, interactive: false, keyboard: false }).addTo(map);
  }

  async function ask(lat, lon) {
    mark(lat, lon);
    try {
      const body = JSON.stringify({ lat: lat, lon: lon, asOf: day.value });
      const response = await fetch(element.dataset.check, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: body,
      });
      const found = await response.json();
      if (!response.ok) return say("failed", [[found.detail, "result"], [found.remedy, "soft"]]);
      const lines = inWords(found);
      if (response.headers.get("X-Degraded")) {
        lines.push(["The database is away; this comes from the last data that was loaded.", "soft"]);
      }
      return say(found.result, lines);
    } catch (error) {
      return say("failed", [["The site could not be asked. Try again in a moment.", "result"]]);
    }
  }

  // Addresses ---------------------------------------------------------------------------------

  const address = document.getElementById("address");
  const token = () => (document.cookie.match(/(?:^|; )csrftoken=([^;]*)/) || [])[1] || "";

  function post(body) {
    return fetch(element.dataset.check, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
      body: JSON.stringify(body),
    });
  }

  function sourceOf(found) {
    return ["Found by: " + found.attribution + ".", "soft", found.attributionUrl];
  }

  function whereInWords(found) {
    const place = found.geocode;
    if (place.result === "match" && place.quality !== "area") {
      mark(place.lat, place.lon);
      map.setView([place.lat, place.lon], Math.max(map.getZoom(), 12), { animate: false });
      const near = place.quality === "rooftop" ? [] : [
        ["The point is near the address, not on it: beside a border look at a second source.", "soft"],
      ];
      return [...inWords(found), ...near, sourceOf(place)];
    }
    if (place.result === "match") {
      map.setView([place.lat, place.lon], 11, { animate: false });
      return [["Unknown.", "result"], ["Only the area was found. Type a house number, too.", ""], sourceOf(place)];
    }
    const why = place.result === "ambiguous"
      ? "Several places fit this address. Type city, state and ZIP code, too."
      : "No geocoder knows this address. Look at its spelling, or click the map.";
    return [["Unknown.", "result"], [why, ""]];
  }

  async function find(text) {
    say("", [["Looking …", "soft"]]);
    try {
      const body = { address: text, asOf: day.value };
      let response = await post(body);
      if (response.status === 403 && !token()) {
        await fetch(element.dataset.csrf);
        response = await post(body);
      }
      const found = await response.json();
      if (response.status === 401) {
        const link = ["Sign in", "", element.dataset.signIn];
        return say("failed", [["Addresses are looked up for people who are signed in.", "result"], link]);
      }
      if (!response.ok) return say("failed", [[found.detail, "result"], [found.remedy, "soft"]]);
      const known = found.geocode.result === "match" && found.geocode.quality !== "area";
      return say(known ? found.result : "unknown", whereInWords(found));
    } catch (error) {
      return say("failed", [["The site could not be asked. Try again in a moment.", "result"]]);
    }
  }

  document.getElementById("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = address.value.trim();
    address.toggleAttribute("aria-invalid", false);
    if (text.length < 4 || !/\p{L}/u.test(text)) {
      address.setAttribute("aria-invalid", "true");
      address.focus();
      say("failed", [["Type an address: number and street, city, state, ZIP code.", "result"]]);
      return;
    }
    find(text);
  });

  document.getElementById("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const parts = field.value.trim().split(/[\s,;]+/).map(Number);
    if (parts.length !== 2 || !parts.every(Number.isFinite)) {
      field.setAttribute("aria-invalid", "true");
      field.focus();
      say("failed", [["Type two numbers: the latitude, a comma, the longitude.", "result"]]);
      return;
    }
    if (Math.abs(parts[0]) <= 90 && Math.abs(parts[1]) <= 180) {
      map.setView(parts, Math.max(map.getZoom(), 11), { animate: false });
    }
    ask(parts[0], parts[1]);
  });
  map.on("click", (event) => {
    const place = event.latlng.wrap();
    ask(place.lat, place.lng);
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== element) return;
    event.preventDefault();
    const place = map.getCenter().wrap();
    ask(place.lat, place.lng);
  });
  day.addEventListener("change", () => day.value && drawZones());
  map.on("moveend", () => {
    drawGrid();
    drawZones();
  });
  drawGrid();
  drawZones();
})();
