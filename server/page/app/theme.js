// Runs before anything is drawn, so that a page in the other theme never flashes. Not a module: modules run too late.
(function () {
  try {
    const theme = localStorage.getItem('muster.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // Without storage the system's choice counts.
  }
})();
