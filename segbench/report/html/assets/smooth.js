"use strict";
// Exponential moving average that does not lean towards its start: the weights of all earlier values add up to one.
const smooth = (values, weight) => {
  let sum = 0;
  let known = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    sum = weight * sum + (1 - weight) * value;
    known = weight * known + (1 - weight);
    return sum / known;
  });
};
