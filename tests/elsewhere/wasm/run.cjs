// Runs the program of this directory: node run.cjs PATH. Prints its output, and fails if an assertion failed.
'use strict';

const { readFileSync } = require('node:fs');

const program = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(process.argv[2]))).exports;
let error;
try {
    program.run();
} catch (trap) {
    error = trap;
}
const bytes = new Uint8Array(program.memory.buffer, program.output(), program.output_length());
process.stdout.write(new TextDecoder().decode(bytes));
if (error) throw error;
