/** The words of the page itself; what to do is said by the response table. Tests hold the table's rules over them. */

import type { Language } from "./contract";
import words from "./words.json";

export type Words = (typeof words)["en"];
export const WORDS: Readonly<Record<Language, Words>> = words;
