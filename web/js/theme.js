// Not a module: runs before the first paint, so that the page does not flash in the other colours.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('fastvlm.theme');
  } catch { /* storage is off: like the device */ }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
