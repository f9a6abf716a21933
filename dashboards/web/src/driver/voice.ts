/** What the driver is told aloud (Web Speech). Where the device has no voice, siren and colour remain. */

import type { Language } from "./contract";

const TONGUES: Record<Language, string> = { en: "en-US", es: "es-US", fr: "fr-CA" };

/** Says it once; what was being said before is dropped. onSpeaking: true while it sounds. */
export function say(text: string, language: Language, onSpeaking: (speaking: boolean) => void): void {
  if (!("speechSynthesis" in window)) return;
  const words = new SpeechSynthesisUtterance(text);
  words.lang = TONGUES[language];
  words.rate = 0.95;
  words.onstart = () => onSpeaking(true);
  words.onend = () => onSpeaking(false);
  words.onerror = () => onSpeaking(false);
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
}
