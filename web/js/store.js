// Small values kept in the browser. Without storage (private windows, policies) the page works and forgets.
function open(area) {
  return {
    get(name, fallback) {
      try {
        const text = window[area].getItem(`fastvlm.${name}`);
        return text === null ? fallback : JSON.parse(text);
      } catch {
        return fallback;
      }
    },
    set(name, value) {
      try {
        window[area].setItem(`fastvlm.${name}`, JSON.stringify(value));
        return true;
      } catch {
        return false;  // the storage is full or switched off
      }
    },
    remove(name) {
      try {
        window[area].removeItem(`fastvlm.${name}`);
      } catch { /* off */ }
    },
  };
}

export const device = open('localStorage');
export const tab = open('sessionStorage');
