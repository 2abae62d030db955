// Made by docs/generate.py from the recipes.
export const LIMITS = {
 "exp5": {
  "text": "experiment 5",
  "rotation": 12.0,
  "shear": 12.0,
  "scale": 0.15,
  "shift": 2.8,
  "interpolation": "nearest"
 },
 "reference": {
  "text": "the reference",
  "rotation": 10.0,
  "shear": 0.0,
  "scale": 0.08,
  "shift": 2.0,
  "interpolation": "bilinear"
 }
};
