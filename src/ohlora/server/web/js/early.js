// Runs before the first paint, so that neither the theme nor the language flickers.
// A classic script: modules run too late for this.
(() => {
  const read = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const root = document.documentElement;
  const theme = read("ohlora.theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const korean = navigator.languages.some((tag) => tag.toLowerCase().startsWith("ko"));
  root.lang = read("ohlora.language") ?? (korean ? "ko" : "en");
})();
