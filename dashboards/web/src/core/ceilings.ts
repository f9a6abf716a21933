/**
 * The ceilings that always hold, drawn into the temperature chart. The alert engine decides by its own copy; these are
 * lines to read a chart by. Source: the project's thermal-risk notes: 60 degC lies above the container's envelope
 * (-29 to 57 degC, Xerox study), 80 degC below the measured onset of self-heating (87 degC, ARC recordings).
 */
export const TEMPERATURE_CEILINGS = [
  { level: "warning", celsius: 60 },
  { level: "critical", celsius: 80 },
] as const;
