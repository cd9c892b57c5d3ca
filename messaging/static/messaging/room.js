"use strict";
// One room: history, sending, editing, deleting, live updates; polls while there is no stream.
(() => {
  const room = JSON.parse(document.getElementById("room").textContent);
  const list = document.getElementById("messages");
  const history = document.getElementById("history");
  const older = document.getElementById("older");
  const state = document.getElementById("state");
  const form = document.getElementById("write");
  const content = document.getElementById("content");
  const newer = document.getElementById("newer");
  const path = `/api/rooms/${room.id}`;
  const POLL = 4000;
  const known = new Map(); // id → message, the newest state of each
  let read = "";
  let polling = null;

  const token = () => (document.cookie.match(/(?:^|; )csrftoken=([^;]*)/) || [])[1] || "";

  // A UUIDv7: the same message sent again with it is stored once, whichever database takes it.
  const newKey = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const now = Date.now();
    for (let place = 0; place < 6; place += 1) bytes[place] = Math.floor(now / 256 ** (5 - place)) % 256;
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  };

  // One quiet line: what went wrong, or else that a database is away.
  let trouble = "";
  let away = "";
  const say = (text) => {
    trouble = text;
    if (state.textContent !== (trouble || away)) state.textContent = trouble || away;
  };

  const call = async (method, address, body, headers = {}) => {
    const answer = await fetch(address, {
      method,
      headers: body || method !== "GET"
        ? { "Content-Type": "application/json", "X-CSRFToken": token(), ...headers } : headers,
      body: body ? JSON.stringify(body) : undefined,
    });
    // Read markers ask one database alone: they do not know how messages are.
    if (address.includes("/messages")) {
      away = answer.headers.get("X-Degraded") ? "Part of the site is away. Messages go on." : "";
      say("");
    }
    const json = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) throw Object.assign(new Error(json.detail), { status: answer.status });
    return json;
  };

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const action = (label, act) => {
    const button = element("button", "quiet", label);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  };

  // Puts another line in the place of one, and the focus where it was.
  const swap = (line, message, label) => {
    const made = lineOf(message);
    line.replaceWith(made);
    const button = [...made.querySelectorAll("button")].find((one) => one.textContent === label);
    (button || made).focus();
  };

  const edit = (message, line) => {
    const form = element("form", "row");
    const field = element("textarea");
    field.value = message.content;
    field.maxLength = 4000;
    field.rows = 2;
    field.setAttribute("aria-label", "Edit message");
    const back = () => swap(line, known.get(message.id), "Edit");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!field.value.trim()) return;
      try {
        const body = { content: field.value, fileUrl: message.fileUrl };
        known.set(message.id, await call("PATCH", `/api/messages/${message.id}`, body));
        back();
      } catch (error) { say(error.message); }
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") back();
      else sendOnEnter(event, form);
    });
    form.append(field, element("button", "", "Save"), action("Cancel", back));
    line.replaceChildren(form);
    field.focus();
  };

  const remove = async (message, line) => {
    try {
      await call("DELETE", `/api/messages/${message.id}`);
      known.set(message.id, { ...message, deleted: true, content: "", fileUrl: null });
      swap(line, known.get(message.id));
    } catch (error) { say(error.message); }
  };

  const sendOnEnter = (event, form) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  };

  // Today's messages show the hour, others the day, too.
  const when = (text) => {
    const at = new Date(text);
    const time = element("time");
    const hour = { hour: "2-digit", minute: "2-digit" };
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = today ? at.toLocaleTimeString([], hour)
      : at.toLocaleString([], { year: "numeric", month: "short", day: "numeric", ...hour });
    time.dateTime = text;
    time.title = at.toLocaleString();
    return time;
  };

  const lineOf = (message) => {
    const mine = message.memberId === room.memberId;
    const line = element("li", mine ? "mine" : "");
    line.id = `m-${message.id}`;
    line.tabIndex = -1;
    const head = element("div", "head");
    head.append(element("span", "who", message.member.profile.name), when(message.createdAt));
    if (message.updatedAt !== message.createdAt && !message.deleted) head.append(element("span", "note", "edited"));
    line.append(head);
    if (message.deleted) {
      line.append(element("p", "text gone", "Deleted"));
      return line;
    }
    line.append(element("p", "text", message.content));
    if (message.fileUrl) {
      const link = element("a", "", message.fileUrl);
      link.href = message.fileUrl;
      link.rel = "noopener noreferrer";
      line.append(link);
    }
    const actions = element("span", "actions");
    if (mine) actions.append(action("Edit", () => edit(message, line)));
    if (mine || room.leads) actions.append(action("Delete", () => remove(message, line)));
    head.append(actions);
    return line;
  };

  const atEnd = () => history.scrollHeight - history.scrollTop - history.clientHeight < 60;

  const place = (line, id) => {
    const later = [...list.children].find((other) => other.id.slice(2) > id);
    list.insertBefore(line, later || null);
  };

  // Times leave out milliseconds where there are none: they are no texts to compare. A deletion
  // beats an edit, also a later one.
  const isNewer = (message, than) => !than.deleted
    && (message.deleted || Date.parse(message.updatedAt) > Date.parse(than.updatedAt));

  // Puts each message in its place, by id; an older state of one never replaces a newer one.
  const show = (messages) => {
    const stay = atEnd();
    let came = false;
    for (const message of messages) {
      const before = known.get(message.id);
      if (before && !isNewer(message, before)) continue;
      known.set(message.id, message);
      const line = lineOf(message);
      const there = document.getElementById(line.id);
      if (there && there.contains(document.activeElement)) swap(there, message, "Edit");
      else if (there) there.replaceWith(line);
      else {
        place(line, message.id);
        came = came || (!stay && line === list.lastElementChild);
      }
    }
    if (stay) history.scrollTop = history.scrollHeight;
    else if (came) newer.hidden = false;
    markRead();
  };

  const markRead = () => {
    const last = list.lastElementChild && list.lastElementChild.id.slice(2);
    if (!last || last <= read || document.hidden || !atEnd()) return;
    read = last;
    call("PUT", `${path}/read`, { messageId: last }).catch(() => { read = ""; });
  };

  const loadOlder = async () => {
    if (!room.next || older.disabled) return;
    older.disabled = true;
    try {
      const page = await call("GET", `${path}/messages?limit=50&before=${encodeURIComponent(room.next)}`);
      const height = history.scrollHeight - history.scrollTop;
      room.next = page.next;
      list.setAttribute("aria-live", "off"); // nobody wants all of it read out
      show(page.items);
      setTimeout(() => list.setAttribute("aria-live", "polite"), 1000);
      history.scrollTop = history.scrollHeight - height;
    } catch (error) { say(error.message); }
    older.disabled = false;
    older.hidden = !room.next;
  };

  const poll = async () => {
    try {
      const page = await call("GET", `${path}/messages?limit=100&after=${encodeURIComponent(room.previous)}`);
      room.previous = page.previous;
      show(page.items);
      const latest = await call("GET", `${path}/messages?limit=30`); // edits and deletions
      show(latest.items);
    } catch (error) {
      if (error.status === 404) return leave();
      if (error.status === 401) return leave("You are signed out. Sign in again.");
      say("Not connected; trying again.");
    }
    return undefined;
  };

  // Shows what was written after the page was made, from the newest back to what is shown.
  const catchUp = async () => {
    const shown = list.lastElementChild ? list.lastElementChild.id.slice(2) : "";
    const found = [];
    try {
      let before = "";
      do {
        const page = await call("GET", `${path}/messages?limit=30${before}`);
        found.push(...page.items);
        before = page.next && page.items.at(-1).id > shown ? `&before=${encodeURIComponent(page.next)}` : "";
      } while (before);
    } catch { startPolling(); }
    show(found);
  };

  const startPolling = () => { if (!over) polling = polling || setInterval(poll, POLL); };
  const stopPolling = () => { clearInterval(polling); polling = null; };

  let over = false;
  const leave = (why = "You do not belong to this room any more.") => {
    over = true;
    stopPolling();
    form.hidden = true;
    say(why);
  };

  let lastEvent = "";
  const follow = () => {
    if (over) return;
    const query = lastEvent ? `?lastEventId=${encodeURIComponent(lastEvent)}` : "";
    let behind = !lastEvent; // it tells what happens from now on, which is later than the page
    const source = new EventSource(`${path}/stream${query}`, { withCredentials: true });
    const note = (event) => { if (event.lastEventId) lastEvent = event.lastEventId; };
    source.addEventListener("alive", (event) => {
      note(event);
      if (polling) { stopPolling(); poll(); } else if (behind) catchUp();
      behind = false;
    });
    for (const kind of ["message", "edited", "deleted"]) {
      source.addEventListener(kind, (event) => { note(event); show([JSON.parse(event.data)]); });
    }
    source.addEventListener("end", (event) => {
      source.close();
      const { reason } = JSON.parse(event.data);
      if (reason === "membership") return leave();
      if (reason === "reset") return location.reload();
      startPolling();
      if (reason === "signed out") poll(); // unless it was for a new session
      return setTimeout(follow, 2000);
    });
    source.onerror = () => {
      startPolling();
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 15000);
    };
  };

  const send = async (text) => {
    const key = newKey();
    for (let trial = 0; ; trial += 1) {
      try {
        return await call("POST", `${path}/messages`, { content: text }, { "Idempotency-Key": key });
      } catch (error) {
        const again = !error.status || error.status === 503;
        if (!again || trial === 3) throw error;
        await new Promise((done) => { setTimeout(done, 400 * (trial + 1)); });
      }
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = content.value;
    if (!text.trim()) return;
    content.value = "";
    try {
      const message = await send(text);
      history.scrollTop = history.scrollHeight;
      show([message]);
    } catch (error) {
      content.value = content.value || text;
      say(error.message);
    }
    content.focus();
  });
  content.addEventListener("keydown", (event) => sendOnEnter(event, form));
  newer.addEventListener("click", () => { history.scrollTop = history.scrollHeight; history.focus(); });
  older.addEventListener("click", loadOlder);
  history.addEventListener("scroll", () => { if (history.scrollTop < 40) loadOlder(); if (atEnd()) newer.hidden = true; markRead(); });
  document.addEventListener("visibilitychange", markRead);

  older.hidden = !room.next;
  show(room.messages);
  history.scrollTop = history.scrollHeight;
  markRead();
  follow();
})();
