/** Why a payload was refused, in words. A reason that has none yet is shown as it came. */

const REASONS: Readonly<Record<string, string>> = {
  cbor_malformed: "not readable as CBOR",
  frame_truncated: "frame cut short",
  protobuf_malformed: "not readable as a Sparkplug payload",
  array_length: "array lengths do not fit",
  datatype: "wrong data type",
  metric_missing: "a required metric is missing",
  times_not_increasing: "sample times do not increase",
  birth_missing: "data before its birth certificate",
  topic: "topic that no unit or gateway may use",
  infinity: "infinite value",
  time_impossible: "impossible time",
  unit_unknown: "unit that nobody registered",
};

export function refusalWords(reason: string): string {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

/** Sixteen bytes a line: offset, bytes, and the printable characters. */
export function hexLines(hex: string): string[] {
  const bytes = hex.replaceAll(/\s/g, "").match(/../g) ?? [];
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += 16) {
    const line = bytes.slice(start, start + 16);
    const text = line.map((byte) => {
      const code = Number.parseInt(byte, 16);
      return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : "·";
    });
    lines.push(`${start.toString(16).padStart(4, "0")}  ${line.join(" ").padEnd(47)}  ${text.join("")}`);
  }
  return lines;
}
