/** What the page behind a drill's link says, and what its link holds. Pure. Drafts until native speakers have read them. */

export interface DrillWords {
  title: string;
  ask: string;
  button: string;
  done: string;
  refused: string;
  away: string;
}

const WORDS = {
  en: {
    title: "Drill",
    ask: "This is a drill. No pack is concerned. Please confirm that the message reached you.",
    button: "Confirm",
    done: "Confirmed. Thank you; there is nothing else to do.",
    refused: "This link confirms nothing: it is incomplete, or not ours. Ask dispatch for a new drill.",
    away: "The service did not answer. Please try again.",
  },
  es: {
    title: "Simulacro",
    ask: "Esto es un simulacro. No hay ninguna batería afectada. Confirme que recibió el mensaje.",
    button: "Confirmar",
    done: "Confirmado. Gracias; no tiene que hacer nada más.",
    refused:
      "Este enlace no confirma nada: está incompleto o no es nuestro. Pida otro simulacro a la central.",
    away: "El servicio no respondió. Inténtelo de nuevo.",
  },
  fr: {
    title: "Exercice",
    ask: "Ceci est un exercice. Aucune batterie n'est concernée. Confirmez que le message vous est parvenu.",
    button: "Confirmer",
    done: "Confirmé. Merci ; vous n'avez rien d'autre à faire.",
    refused:
      "Ce lien ne confirme rien : il est incomplet, ou n'est pas le nôtre. Demandez un nouvel exercice.",
    away: "Le service n'a pas répondu. Réessayez.",
  },
} satisfies Record<string, DrillWords>;

export interface DrillLink {
  language: string;
  words: DrillWords;
  /** null: the link is incomplete. */
  message: { id: string; token: string } | null;
}

/** Read "#es.<message>.<token>". Whatever it is, there are words for it. */
export function parseDrillLink(hash: string): DrillLink {
  const [said = "", id = "", token = ""] = hash.replace(/^#/, "").split(".");
  const language = said === "es" || said === "fr" ? said : "en";
  const whole = /^[0-9a-f]{32}$/.test(id) && /^[A-Za-z0-9_-]+$/.test(token);
  return { language, words: WORDS[language], message: whole ? { id, token } : null };
}
