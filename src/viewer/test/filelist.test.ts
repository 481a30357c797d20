/** The node's files as a person reads them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { fileDate, fileSize, fileWords, newestFirst, progressWords, savedWords } from "../page/filelist.ts";

const HERE = { locale: "en-GB", timeZone: "UTC" };

test("the newest file stands first, and those of one second by their numbers", () => {
  const file = (name: string, modified: number) => ({ name, bytes: 1, modified });
  const given = [file("a-1", 5), file("b", 9), file("a-2", 5), file("c", 1)];
  assert.deepEqual(newestFirst(given).map(({ name }) => name), ["b", "a-2", "a-1", "c"]);
  assert.equal(given[0]?.name, "a-1", "what was given stays as it is");
});

test("a size has few digits, and never a thousand of a unit", () => {
  const sizes = [0, 999, 1_000, 9_949, 9_951, 12_345, 999_499, 999_500, 3_000_000, 10_485_760, 999_600_000, 4_700_000_000, 5e12].map(fileSize);
  assert.deepEqual(sizes, ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "12 kB", "999 kB", "1.0 MB", "3.0 MB", "10 MB", "1.0 GB", "4.7 GB", "5000 GB"]);
});

test("a date is written as people here do, and one that is none is left out", () => {
  assert.equal(fileDate(1_795_298_112, HERE), "21 Nov 2026, 21:55");
  assert.equal(fileDate(8.7e15, HERE), "");
  assert.equal(fileWords({ name: "a", bytes: 10, modified: 8.7e15 }, HERE), "10 B");
  assert.equal(fileWords({ name: "a", bytes: 10, modified: 0 }, HERE), "10 B · 1 Jan 1970, 00:00");
});

test("how far it has come is told in whole percents, and all of it is then checked", () => {
  assert.deepEqual([progressWords(0, 3_000_000), progressWords(2_999_999, 3_000_000)], ["0 % of 3.0 MB", "99 % of 3.0 MB"]);
  assert.deepEqual([progressWords(3_000_000, 3_000_000), progressWords(0, 0)], ["Checking 3.0 MB", "Checking 0 B"]);
});

test("what could not be held against its hash is not said to be whole", () => {
  assert.equal(savedWords({ name: "a.mp4", verified: true }), "Saved a.mp4");
  assert.match(savedWords({ name: "a.mp4", verified: false }), /^Saved a\.mp4\. It was not checked: .*https:/);
});
