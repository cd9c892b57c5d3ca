"use strict";
// Find somebody by name, and open the conversation with them.
(() => {
  const form = document.getElementById("people");
  const found = document.getElementById("found");
  const token = () => (document.cookie.match(/(?:^|; )csrftoken=([^;]*)/) || [])[1] || "";

  const say = (text) => {
    const line = document.createElement("li");
    line.className = "none";
    line.textContent = text;
    found.replaceChildren(line);
  };

  const open = async (id) => {
    const answer = await fetch("/api/conversations", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
      body: JSON.stringify({ userIds: [id] }),
    });
    const body = await answer.json();
    if (answer.ok) location.href = `/rooms/${body.id}/`;
    else say(body.detail);
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch(`/api/users/search?${new URLSearchParams(new FormData(form))}`);
    const body = await answer.json();
    if (!answer.ok) return say(body.detail);
    if (!body.items.length) return say("Nobody of that name.");
    found.replaceChildren(...body.items.map((person) => {
      const line = document.createElement("li");
      const button = document.createElement("button");
      button.className = "quiet";
      button.textContent = person.name;
      button.addEventListener("click", () => open(person.id));
      line.append(button);
      return line;
    }));
  });
})();
