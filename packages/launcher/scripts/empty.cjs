// In place of a dependency that is never called; see build.mjs.
module.exports = {};
