pub(crate) fn function() {}
