/** What browsers keep back from plain http:// pages, and what is said of it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { lacking, wordsForLack, wordsForLacks } from "../lib/secure.ts";
import { wordsFor } from "../lib/words.ts";

test("what a page does without is found by looking for each thing itself", () => {
  const all = { crypto: { subtle: {} }, navigator: { mediaDevices: { getUserMedia: 1, enumerateDevices: 1 }, clipboard: {}, wakeLock: {} } };
  assert.deepEqual(lacking(all), []);
  // As browsers have it on http://192.168.1.5.
  assert.deepEqual(lacking({ crypto: {}, navigator: {} }), ["crypto", "microphone", "devices", "clipboard", "wakeLock"]);
  // Firefox of some years ago, on https://.
  assert.deepEqual(lacking({ ...all, navigator: { ...all.navigator, wakeLock: undefined } }), ["wakeLock"]);
});

test("it is said what cannot be done, and how to get it only where that would help", () => {
  assert.match(wordsForLack("microphone", false), /cannot use the microphone: it did not come over https:\/\/\. Open the page at an https:\/\/ address/);
  assert.equal(wordsForLack("wakeLock", true), "This page cannot keep the screen on: this browser does not offer it.");
  const { title, hint } = wordsFor({ state: "refused", reason: "noCrypto" });
  assert.match(`${title}. ${hint}`, /Secure page needed.*https:\/\//);
});

test("the notice names what is kept back and the https page where there is one, and is silent where https is not why", () => {
  const lacks = lacking({ crypto: {}, navigator: {} });
  assert.equal(
    wordsForLacks(lacks, false, "https://cam.local:8443/"),
    "Not over https://, so your browser keeps back your microphone, the list of your devices and a screen that stays on. Open the page at https://cam.local:8443/",
  );
  assert.match(wordsForLacks(["wakeLock"], false) ?? "", /keeps back a screen that stays on\. Open the page at an https:\/\/ address/);
  assert.equal(wordsForLacks(lacks, true), undefined);
  assert.equal(wordsForLacks(["clipboard"], false), undefined);
});
