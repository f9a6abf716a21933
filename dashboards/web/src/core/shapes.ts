/** Outlines of the alarming levels' shapes in a box of 24, the same on badges and on the map. Even-odd. */

export const TRIANGLE =
  "M12 1.8L23.4 22H.6zM10.8 9l.3 6.6h1.8l.3-6.6zM12 17.1a1.4 1.4 0 100 2.8 1.4 1.4 0 000-2.8z";
export const OCTAGON =
  "M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4zM10.7 5.4l.4 8.2h1.8l.4-8.2zM12 15.4a1.7 1.7 0 100 3.4 1.7 1.7 0 000-3.4z";
export const BURST =
  "M12 .5l2.3 5.3 4.6-3.5-.6 5.7 5.2.9-4 3.6 3.7 3.9-5.3.7.5 5.9-4.4-3.7-2.4 4.4-2-4.6-4.7 3.4.7-5.6-5.3-.8 4-3.9L.8 9l5.2-1L5.2 2.3l4.6 3.5z";
export const DIAMOND = "M12 1.5L22.5 12 12 22.5 1.5 12z";
