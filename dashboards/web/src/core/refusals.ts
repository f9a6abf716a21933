/** Why a payload was refused, or a value in it doubted, in words. A reason that has none yet is shown as it came. */

const REASONS: Readonly<Record<string, string>> = {
  acknowledgement: "acknowledgement of nothing that was sent",
  alias_unknown: "an alias that no birth certificate named",
  array_length: "array lengths do not fit",
  array_limit: "array with too many elements",
  array_rank: "array with the wrong number of dimensions",
  array_type: "array of the wrong type",
  batch_oversize: "batch too large",
  bd_seq_missing: "birth certificate without its number",
  birth_missing: "data before its birth certificate",
  birth_name: "birth certificate with an unknown name",
  boot: "boot id not readable",
  cab_report: "what the cab did is not readable",
  cbor_malformed: "not readable as CBOR",
  datatype: "wrong data type",
  drop_detail: "what was let go is not readable",
  field_missing: "a required field is missing",
  field_range: "field out of its range",
  field_type: "field of the wrong type",
  frame_oversize: "frame too large",
  frame_shape: "frame whose parts do not fit",
  frame_truncated: "frame cut short",
  infinity: "infinite value",
  internal: "fault inside the service",
  metric_missing: "a required metric is missing",
  metric_twice: "a metric named twice",
  other_suspect: "suspect reading, kept",
  payload_metrics: "too many metrics",
  payload_oversize: "payload too large",
  position: "position not readable",
  protobuf_malformed: "not readable as a Sparkplug payload",
  provenance: "unknown provenance",
  samples_dropped: "samples missing: the gateway could keep them no longer",
  state_malformed: "state message not readable",
  temperature_suspect: "suspect temperature, kept and judged",
  time_impossible: "impossible time",
  times_not_increasing: "sample times do not increase",
  timestamp_missing: "no timestamp",
  topic: "topic that no unit or gateway may use",
  unknown_unit: "unit that nobody registered",
  value_range: "value out of its range",
  voltage_suspect: "suspect voltage, kept and judged",
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
