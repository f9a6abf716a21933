/** The page behind a drill's link: one sentence and one button, whose press is the proof. A mail scanner presses none. */

import "./drill.css";
import { parseDrillLink } from "./words";

const link = parseDrillLink(location.hash);
document.documentElement.lang = link.language;
document.title = `${link.words.title} - Packwatch`;

const heading = document.createElement("h1");
heading.textContent = link.words.title;
const text = document.createElement("p");
text.setAttribute("role", "status");
const button = document.createElement("button");
button.textContent = link.words.button;
button.addEventListener("click", () => void confirm());
document.getElementById("app")?.append(heading, text);

if (link.message === null) {
  text.textContent = link.words.refused;
} else {
  text.textContent = link.words.ask;
  text.after(button);
}

async function confirm(): Promise<void> {
  if (link.message === null) return;
  button.disabled = true;
  try {
    const answer = await fetch(`/api/receipts/${link.message.id}`, {
      method: "POST",
      headers: { authorization: `Bearer ${link.message.token}`, "content-type": "application/json" },
      body: JSON.stringify({ state: "acknowledged" }),
    });
    text.textContent = answer.ok
      ? link.words.done
      : answer.status < 500
        ? link.words.refused
        : link.words.away;
    if (answer.status < 500) button.remove();
  } catch {
    text.textContent = link.words.away;
  }
  button.disabled = false;
}
