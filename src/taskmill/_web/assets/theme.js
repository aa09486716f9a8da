// Before anything is drawn, so that no page flashes in the wrong colours.
"use strict";
try {
  const theme = localStorage.getItem("taskmill-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* a browser that keeps nothing follows the system */ }
