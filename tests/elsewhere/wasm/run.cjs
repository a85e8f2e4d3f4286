// Runs the program of this directory: node run.cjs PATH. Prints its output, and fails if an assertion failed.
'use strict';

const { readFileSync } = require('node:fs');

const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(process.argv[2])));
let error;
try {
    exports.run();
} catch (trap) {
    error = trap;
}
const bytes = new Uint8Array(exports.memory.buffer, exports.output(), exports.output_length());
process.stdout.write(new TextDecoder().decode(bytes));
if (error) throw error;
