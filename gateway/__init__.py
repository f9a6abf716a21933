"""The box on the vehicle: takes the frames of many units, fixes their time, keeps them, and speaks Sparkplug upward."""
